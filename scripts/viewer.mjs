// The viewer behind /docs is one self-contained file, from a package that depends on 260 others; only the file is
// taken. `node scripts/viewer.mjs` does that in the image of Docker. To update: version and integrity, as in
// `npm view @scalar/api-reference@VERSION dist.integrity`.
import { isThere, takeFile } from './single-file.mjs';

const VIEWER = {
  spec: '@scalar/api-reference@1.72.1',
  integrity:
    'sha512-XpEJ0rfc/cXbCrR+iC4kK0o/WwX2dTtGQbT049OlPKAHD6IMIFdTeGz2r+M27P2EDWKyUITRm/NzlP8z2pw/Ow==',
  file: 'dist/browser/standalone.js',
  to: 'node_modules/.viewer/standalone.js', // src/docs/routes.ts serves it from there
};

/** Fetches the viewer, unless it is there. Throws an error of one line when it cannot. */
export function provideViewer() {
  if (isThere(VIEWER)) return;
  console.error('Fetching the viewer of /docs …');
  takeFile(VIEWER);
}

if (import.meta.main) provideViewer();
