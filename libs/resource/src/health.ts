import type { RpcServer } from '@biz/rpc';
import type { Db } from 'mongodb';

/** How often the database is asked, in ms. */
const EVERY_MS = 2_000;

/** Lets a server's health service tell whether its database answers: without it no call can be served. */
export function followDatabase(db: Db, server: Pick<RpcServer, 'setServing'>, everyMs: number = EVERY_MS): Disposable {
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  const ask = async () => {
    const answers = await db.command({ ping: 1 }).then(
      () => true,
      () => false,
    );
    if (ended) return;
    server.setServing(answers);
    timer = setTimeout(ask, everyMs).unref();
  };
  void ask();
  return {
    [Symbol.dispose]() {
      ended = true;
      clearTimeout(timer);
    },
  };
}
