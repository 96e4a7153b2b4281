import type { ExecutionContext } from 'ava';
import { Redis } from 'ioredis';

/** The messages on some channels since the call, as pairs of channel and text, oldest first. */
export async function subscribe(t: ExecutionContext, url: string, ...channels: string[]) {
  const messages: [channel: string, text: string][] = [];
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  redis.on('message', (channel, text) => messages.push([channel, text]));
  await redis.subscribe(...channels);
  return messages;
}
