import type { Scenario } from '../scenario.ts';
import { createOrders } from './create.ts';

/** Everything that `npm run bench` measures, in this order. */
export const scenarios: Scenario[] = [createOrders];
