import { readdir, readFile } from 'node:fs/promises';
import { definitionFiles } from './definition-files.ts';

/** The SQL that migrate runs: a folder like sql/, and its files of definitions in order. */
export type Sources = { dir: URL; definitions: readonly string[] };

/** The SQL of this version of the service. */
export const OWN_SOURCES: Sources = {
  dir: new URL('../../../sql/', import.meta.url),
  definitions: definitionFiles,
};

/** Reads a file of the folder. */
export function readSql({ dir }: Sources, path: string): Promise<string> {
  return readFile(new URL(path, dir), 'utf8');
}

/** The names of the SQL files in one of its folders, sorted. */
export async function sqlFiles({ dir }: Sources, folder: string): Promise<string[]> {
  const names = await readdir(new URL(`${folder}/`, dir));
  return names.filter((name) => name.endsWith('.sql')).sort();
}
