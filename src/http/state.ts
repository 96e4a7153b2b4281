/** The state of every request. The log writes `about`; `headers` are sent with the reply (reply.ts). */
export type AppState = { about: About; network: string; headers: string[]; body?: unknown };

type About = { request_id: string; user_id?: string; order_id?: string; job_id?: string };
