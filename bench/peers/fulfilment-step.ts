/* The external step: accepts every order after 20 ms. */
import { createServer } from 'node:http';
import { listenForBench, runPeer } from './serving.ts';

const STEP_MS = 20;

await runPeer(() =>
  listenForBench(
    createServer((request, response) => {
      request.resume();
      request.once('end', () => setTimeout(() => response.writeHead(204).end(), STEP_MS));
    }),
  ),
);
