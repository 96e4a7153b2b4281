import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from '../../test/support/context.ts';
import { temporaryFolder } from '../../test/support/processes.ts';
import { postgresAccount } from './account.ts';
import { binariesFor } from './binaries.ts';

const account = postgresAccount();

// Only root needs a copy: other users run Postgres as themselves.
if (account) {
  test('a copy that can no longer be run is made again', (t) => {
    const folder = temporaryFolder(t);
    const binaries = { postgres: join(folder, 'bin/postgres'), initdb: join(folder, 'bin/initdb') };
    mkdirSync(dirname(binaries.postgres));
    const script = `#!/bin/sh\necho ${folder}\n`;
    for (const program of Object.values(binaries)) writeFileSync(program, script, { mode: 0o755 });
    chmodSync(folder, 0o700); // user postgres cannot enter it
    const copy = binariesFor(account, binaries).postgres;
    t.teardown(() => rmSync(dirname(dirname(copy)), { recursive: true }));
    writeFileSync(copy, '#!/bin/sh\nexit 127\n');

    const again = binariesFor(account, binaries).postgres;

    t.is(again, copy);
    t.not(copy, binaries.postgres);
    t.is(spawnSync(again, { encoding: 'utf8' }).stdout, `${folder}\n`);
  });
}
