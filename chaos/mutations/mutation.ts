/** One replacement of a text that the file has exactly once. */
export type Edit = {
  file: string;
  from: string;
  to: string;
  /** For files under sql/: the function, trigger, view or table whose definition or rights the edit changes. */
  object?: string;
};

/** The check that must notice the mutation: a test that fails, or a run of chaos that reports a count above 0. */
export type Detector =
  { test: string; title: string } | { chaos: string; seed: number; seconds: number };

/** A change of the code that breaks a promise, and the check that must notice it. */
export type Mutation = { name: string; edits: Edit[]; detector: Detector };

/** A test of chaos/detectors. */
export function detectedBy(file: string, title: string): Detector {
  return { test: `chaos/detectors/${file}.test.ts`, title };
}

/** A replacement in a file of sql/functions. */
export function inFunction(object: string, file: string, from: string, to: string): Edit {
  return { file: `sql/functions/${file}.sql`, from, to, object };
}
