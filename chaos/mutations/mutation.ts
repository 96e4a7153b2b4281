/** One replacement of text that must be there exactly once. */
export type Edit = {
  file: string;
  from: string;
  to: string;
  /** Of a file under sql/: the function, trigger, view or table whose definition or rights it changes. */
  object?: string;
};

/** What has to notice: one test, or a run of chaos that prints a count that must be 0 and is not. */
export type Detector =
  { test: string; title: string } | { chaos: string; seed: number; seconds: number };

/** A way to break a promise. */
export type Mutation = { name: string; edits: Edit[]; detector: Detector };

/** A test of chaos/detectors. */
export function detectedBy(file: string, title: string): Detector {
  return { test: `chaos/detectors/${file}.test.ts`, title };
}

/** A replacement in a file of sql/functions. */
export function inFunction(object: string, file: string, from: string, to: string): Edit {
  return { file: `sql/functions/${file}.sql`, from, to, object };
}
