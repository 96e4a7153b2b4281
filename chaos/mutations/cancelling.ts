/* Mutations that break cancelling: a PENDING order and its job must be cancelled together, and no other order. */
import { detectedBy, inFunction, type Mutation } from './mutation.ts';

export const cancellingMutations: Mutation[] = [
  {
    name: 'a cancellation takes no lock',
    edits: [
      inFunction(
        'cancel_order',
        'cancel_order',
        `
  FOR NO KEY UPDATE;`,
        ';',
      ),
    ],
    detector: detectedBy(
      'cancelling',
      'an order cannot be cancelled while another transaction takes it',
    ),
  },
  {
    name: 'a cancellation ignores the status of the order',
    edits: [
      inFunction(
        'cancel_order',
        'cancel_order',
        `wanted.status NOT IN ('PENDING', 'CANCELLED')`,
        `wanted.status = 'FAILED'`,
      ),
    ],
    detector: detectedBy('cancelling', 'an order that has ended cannot be cancelled'),
  },
  {
    name: 'cancel_order stores a reply without cancelling the order',
    edits: [
      inFunction(
        'cancel_order',
        'cancel_order',
        `    WHERE o.id = wanted.id
    RETURNING o.* INTO wanted;`,
        `    WHERE o.id = wanted.id AND false;
    wanted.status := 'CANCELLED';`,
      ),
    ],
    detector: detectedBy(
      'cancelling',
      'an order is cancelled when the reply to its cancellation is 200',
    ),
  },
  {
    name: 'a cancellation does not cancel the job',
    edits: [
      inFunction(
        'orders_cancel_job',
        'orders_handoff',
        `WHERE j.id = NEW.id AND j.state < 'completed';`,
        `WHERE j.id = NEW.id AND j.state < 'completed' AND false;`,
      ),
    ],
    detector: detectedBy('cancelling', 'the job of a cancelled order is cancelled'),
  },
];
