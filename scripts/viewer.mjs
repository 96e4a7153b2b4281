// The viewer of /docs is one file without dependencies. Its package depends on 260 others, so only the file is taken.
// The Dockerfile runs `node scripts/viewer.mjs` for that. To update, change the version and the integrity
// (`npm view @scalar/api-reference@VERSION dist.integrity`).
import { isThere, takeFile } from './single-file.mjs';

const VIEWER = {
  spec: '@scalar/api-reference@1.72.1',
  integrity:
    'sha512-XpEJ0rfc/cXbCrR+iC4kK0o/WwX2dTtGQbT049OlPKAHD6IMIFdTeGz2r+M27P2EDWKyUITRm/NzlP8z2pw/Ow==',
  file: 'dist/browser/standalone.js',
  to: 'node_modules/.viewer/standalone.js', // src/docs/routes.ts serves it from there
};

/** Fetches the viewer if it is missing. Throws an error of one line when that fails. */
export function provideViewer() {
  if (isThere(VIEWER)) return;
  console.error('Fetching the viewer of /docs …');
  takeFile(VIEWER);
}

if (import.meta.main) provideViewer();
