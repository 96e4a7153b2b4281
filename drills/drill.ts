/** Something that operators do to the service, done by a command on real programs, with figures. */
export type Drill = {
  /** What it does, in one line of the usage. */
  what: string;
  /**
   * Runs the drill and prints what happens. Resolves with whether everything was as promised. Ends everything that it
   * started, also when `stop` is aborted.
   */
  run: (say: (line: string) => void, stop: AbortSignal) => Promise<boolean>;
};
