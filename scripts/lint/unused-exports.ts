import { isTypeScript, lineAt, type Source, type TreeRule } from './rule.ts';

const EXPORT =
  /^export\s+(?:declare\s+)?(?:async\s+)?(?:abstract\s+)?(?:function\*?|const|let|class|type|interface|enum)\s+(\w+)/gm;

/** A name that is exported appears in another file; otherwise it is private to its own. */
export const unusedExports: TreeRule = {
  name: 'unused-export',
  find(sources) {
    const scripts = sources.filter(({ path }) => isTypeScript(path));
    const filesOf = filesByWord(scripts);
    return scripts.flatMap(({ path, code }) =>
      [...code.matchAll(EXPORT)].flatMap(({ index, 1: name = '' }) => {
        if ((filesOf.get(name)?.size ?? 0) > 1) return [];
        const advice = `no other file uses ${name}: do not export it`;
        return [{ path, line: lineAt(code, index), advice }];
      }),
    );
  },
};

function filesByWord(sources: Source[]): Map<string, Set<string>> {
  const files = new Map<string, Set<string>>();
  for (const { path, code } of sources) {
    for (const word of new Set(code.match(/\w+/g))) {
      files.set(word, (files.get(word) ?? new Set()).add(path));
    }
  }
  return files;
}
