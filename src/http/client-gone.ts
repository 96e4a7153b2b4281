/** The status in the log and in metrics for a client that disconnected before it got a reply, as in nginx. */
export const CLIENT_GONE_STATUS = 499;

/** The client disconnected before it got a reply. */
export class ClientGone extends Error {
  override name = 'ClientGone';
  readonly status = 400; // never sent; Koa does not accept 499

  constructor() {
    super('The client disconnected.');
  }
}
