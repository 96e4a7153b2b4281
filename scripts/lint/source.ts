import { isSql, type Source } from './rule.ts';

type Kind = 'code' | 'strings' | 'comments';

const COMMENT = String.raw`\/\/[^\n]*|\/\*[^]*?\*\/`;
const QUOTED = String.raw`'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"`;
const REGEXP = String.raw`\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*`;
const SCRIPT_TOKEN = new RegExp(`${COMMENT}|${QUOTED}|${REGEXP}|[^]`, 'y');
const SQL_TOKEN = /--[^\n]*|\/\*[^]*?\*\/|'[^']*'|[^]/y;
const TEMPLATE_TEXT = /(?:\\[^]|\$(?!\{)|[^\\`$])*/y;
/** After these, a slash begins a regular expression. After a name, a number or a closing bracket, it divides. */
const BEFORE_REGEXP = /(?:^|[-+*%&|^!~<>=?:;,([{}]|\b(?:return|typeof|case|in|of|await))\s*$/;
const LOOK_BACK = 20;

/** Sorts the text of a script or of SQL into code, strings and comments. Any other text is both code and comment. */
export function readSource(path: string, text: string): Source {
  const kinds = /\.(ts|mjs)$/.test(path) ? scriptKinds(text) : isSql(path) ? sqlKinds(text) : null;
  if (!kinds) return { path, text, code: text, strings: '', comments: text };
  const only = (wanted: Kind) =>
    text.replaceAll(/[^\n]/g, (character, at: number) => (kinds[at] === wanted ? character : ' '));
  return {
    path,
    text,
    code: only('code'),
    strings: only('strings'),
    comments: only('comments'),
  };
}

/** The kind of each character of SQL. The body of a function, between $$, is code. */
function sqlKinds(text: string): Kind[] {
  const kinds: Kind[] = [];
  while (kinds.length < text.length) {
    const token = tokenAt(SQL_TOKEN, text, kinds.length);
    push(
      kinds,
      /^(--|\/\*)/.test(token) ? 'comments' : token[0] === "'" ? 'strings' : 'code',
      token,
    );
  }
  return kinds;
}

/** The kind of each character of TypeScript. `${…}` in a template is code. */
function scriptKinds(text: string): Kind[] {
  const kinds: Kind[] = [];
  const openBraces: number[] = []; // one entry for each open `${` of a template
  while (kinds.length < text.length) {
    const at = kinds.length;
    const token = tokenAt(SCRIPT_TOKEN, text, at);
    const depth = openBraces.length - 1;
    if (/^\/[/*]/.test(token)) {
      push(kinds, 'comments', token);
    } else if (/^['"]/.test(token) && token.length > 1) {
      push(kinds, 'strings', token);
    } else if (token === '`' || (token === '}' && openBraces[depth] === 0)) {
      if (token === '}') openBraces.pop();
      push(kinds, 'code', token);
      push(kinds, 'strings', tokenAt(TEMPLATE_TEXT, text, kinds.length));
      if (text.startsWith('${', kinds.length)) openBraces.push(0);
      push(kinds, 'code', text.startsWith('${', kinds.length) ? '${' : '`');
    } else if (
      token.length > 1 &&
      BEFORE_REGEXP.test(text.slice(Math.max(at - LOOK_BACK, 0), at))
    ) {
      push(kinds, 'strings', token);
    } else {
      push(kinds, 'code', token.slice(0, 1));
      if (depth >= 0 && token === '{') openBraces[depth] = (openBraces[depth] ?? 0) + 1;
      if (depth >= 0 && token === '}') openBraces[depth] = (openBraces[depth] ?? 0) - 1;
    }
  }
  return kinds;
}

function tokenAt(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? '';
}

function push(kinds: Kind[], kind: Kind, token: string): void {
  for (let i = 0; i < token.length; i += 1) kinds.push(kind);
}
