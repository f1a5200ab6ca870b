// What the scripts of npm's clients share: writers and readers until "end" comes by standard input, whatever happens to the nodes
// meanwhile; then every acknowledged write must be there.
'use strict';
const WORKERS = 8;
const KEYS_EACH = 25;

// `client` has set(key, text) and get(key), both promises.
async function run(name, client) {
  let ended = false;
  let answers = 0;
  const errors = [];
  const tried = new Map();
  const acknowledged = new Map();
  const keys = (worker) => Array.from({ length: KEYS_EACH }, (_, key) => `${name}:${worker}:${key}`);

  async function check(key) {
    const got = Number(await client.get(key) ?? 0);
    const [least, most] = [acknowledged.get(key) ?? 0, tried.get(key) ?? 0];
    if (got < least || got > most) {
      console.error(`${key} is ${got}, acknowledged was ${least}, tried ${most}`);
      process.exit(1);
    }
  }

  // The only writer of its keys.
  async function work(worker) {
    const own = keys(worker);
    for (let turn = 0; !ended; turn += 1) {
      const key = own[turn % KEYS_EACH];
      try {
        tried.set(key, (tried.get(key) ?? 0) + 1);
        await client.set(key, String(tried.get(key)));
        acknowledged.set(key, tried.get(key));
        await check(key);
        answers += 1;
      } catch (error) {
        errors.push(String(error));
      }
      if (answers === 10 * WORKERS) console.log('ready');
    }
  }

  process.stdin.once('data', () => { ended = true; });
  await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)));
  for (let worker = 0; worker < WORKERS; worker += 1) {
    for (const key of keys(worker)) await check(key);
  }
  console.log(`${answers} writes and reads, ${errors.length} errors (${errors.slice(-1)})`);
  process.exit(0);
}

module.exports = { run };
