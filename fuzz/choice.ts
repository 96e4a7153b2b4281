import { createRandom, type Random } from '../chaos/random.ts';

/** Pseudo-random choices. The same seed gives the same choices. */
export type Choice = Random & {
  /** True with this probability. */
  chance: (probability: number) => boolean;
  oneOf: <T>(items: readonly T[]) => T;
};

/** The choices for one item of a run. They do not depend on other items, because several items run at the same time. */
export function choicesFor(seed: number, index: number): Choice {
  const random = createRandom(Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  return {
    ...random,
    chance: (probability) => random.between(0, 1) < probability,
    oneOf: (items) => {
      const item = items[random.integer(0, items.length - 1)];
      if (item === undefined) throw new TypeError('nothing to choose from');
      return item;
    },
  };
}
