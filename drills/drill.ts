/** A command that does to a running service what operators do or meet, with real programs, and prints figures. */
export type Drill = {
  /** What the drill does: its line of the usage. */
  what: string;
  /**
   * Runs the drill and prints what happens. Resolves with whether everything was as promised. Ends everything that it
   * started, also when `stop` is aborted.
   */
  run: (say: (line: string) => void, stop: AbortSignal) => Promise<boolean>;
};
