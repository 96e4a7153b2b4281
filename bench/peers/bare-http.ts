/* The upper limit of HTTP in Node: reads the request, and always sends the same reply. */
import { createServer } from 'node:http';
import { pendingOrder } from './orders.ts';
import { listenForBench, runPeer } from './serving.ts';

const body = JSON.stringify(
  pendingOrder('01890a5d-ac96-774b-bcce-b302099a8057', { product_name: 'Book', amount: 99 }),
);
const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };

await runPeer(() =>
  listenForBench(
    createServer((request, response) => {
      request.resume();
      request.once('end', () => response.writeHead(201, headers).end(body));
    }),
  ),
);
