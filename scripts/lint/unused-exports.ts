import { posix } from 'node:path';
import { isTypeScript, lineAt, type Source, type TreeRule } from './rule.ts';

const EXPORT =
  /^export\s+(?:declare\s+)?(?:async\s+)?(?:abstract\s+)?(?:function\*?|const|let|class|type|interface|enum)\s+(\w+)/gm;
const IMPORT = /^(?:import|export)\s+(?:\w+,\s*)?(?:type\s+)?\{([^}]*)\}\s+from\s+'(\.[^']+)'/gm;

/** A file exports only names that another file imports. */
export const unusedExports: TreeRule = {
  name: 'unused-export',
  find(sources) {
    const scripts = sources.filter(({ path }) => isTypeScript(path));
    const imported = new Set(scripts.flatMap(importsOf));
    return scripts.flatMap(({ path, code }) =>
      [...code.matchAll(EXPORT)].flatMap(({ index, 1: name = '' }) => {
        if (imported.has(`${path} ${name}`)) return [];
        const advice = `no other file imports ${name}: do not export it`;
        return [{ path, line: lineAt(code, index), advice }];
      }),
    );
  },
};

/** The names that a file imports from files of the tree: `PATH NAME`. */
function importsOf({ path, text }: Source): string[] {
  return [...text.matchAll(IMPORT)].flatMap(([, names = '', from = '']) => {
    const file = posix.join(posix.dirname(path), from);
    const words = names.split(',').map((name) => /^\s*(?:type\s+)?(\w+)/.exec(name)?.[1]);
    return words.map((name) => `${file} ${name}`);
  });
}
