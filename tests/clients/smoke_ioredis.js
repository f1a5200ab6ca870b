// npm's ioredis at its defaults.  usage: smoke_ioredis.js PORT MODULES-FOLDER
'use strict';
const assert = require('node:assert/strict');
const from = require('node:module').createRequire(process.argv[3] + '/');
const Redis = from('ioredis');
const port = Number(process.argv[2]);
let checks = 0;

async function equal(what, promise, want) {
  const got = await promise;
  checks += 1;
  assert.deepEqual(got, want, what);
}

async function refused(what, promise, pattern) {
  checks += 1;
  await assert.rejects(promise, pattern, what);
}

async function strings(r) {
  await equal('set', r.set('k', 'v'), 'OK');
  await equal('get', r.get('k'), 'v');
  await equal('set nx', r.set('k', 'w', 'NX'), null);
  await equal('getBuffer', r.getBuffer('k'), Buffer.from('v'));
  await equal('mset', r.mset('a', 1, 'b', 2), 'OK');
  await equal('mget', r.mget('a', 'b', 'none'), ['1', '2', null]);
  await equal('incrby', r.incrby('a', 5), 6);
  await equal('expire', r.expire('a', 100), 1);
  await equal('ttl', r.ttl('a').then((t) => t >= 98 && t <= 100), true);
  const large = Buffer.alloc(3 << 20, 'x');
  await equal('3 MB', r.set('large', large).then(() => r.strlen('large')), 3 << 20);
}

async function collections(r) {
  await equal('hset', r.hset('h', { f: 1, g: 2 }), 2);
  await equal('hgetall', r.hgetall('h').then((h) => ({ ...h })), { f: '1', g: '2' });
  await equal('zadd', r.zadd('z', 1, 'a', 2.5, 'b'), 2);
  await equal('zrange', r.zrange('z', 0, -1), ['a', 'b']);
  await equal('zscore', r.zscore('z', 'b').then(Number), 2.5);
  await equal('rpush', r.rpush('l', 'a', 'b', 'c'), 3);
  await equal('lrange', r.lrange('l', 0, -1), ['a', 'b', 'c']);
  await equal('sadd', r.sadd('s', 'x', 'y'), 2);
  await equal('smembers', r.smembers('s').then((m) => [...m].sort()), ['x', 'y']);
  await Promise.all(Array.from({ length: 1000 }, (_, i) => r.set('scan:' + i, i)));
  const seen = new Set();
  for await (const keys of r.scanStream({ match: 'scan:*', count: 100 })) {
    keys.forEach((k) => seen.add(k));
  }
  await equal('scanStream', seen.size, 1000);
}

async function pipelines(r) {
  const piped = r.pipeline();
  for (let i = 0; i < 500; i += 1) piped.incr('piped');
  const replies = await piped.exec();
  await equal('pipeline', replies.map(([error, value]) => error ?? value),
    Array.from({ length: 500 }, (_, i) => i + 1));
  await equal('multi', r.multi().set('tx', 1).incr('tx').get('tx').exec(),
    [[null, 'OK'], [null, 2], [null, '2']]);
  const watching = r.duplicate();
  await watching.watch('tx');
  await r.set('tx', 9);
  await equal('watch', watching.multi().incr('tx').exec(), null);
  await watching.quit();
}

async function blocking(r) {
  const other = r.duplicate();
  setTimeout(() => r.rpush('queue', 'job'), 200);
  await equal('blpop', other.blpop('queue', 10), ['queue', 'job']);
  await equal('blpop time-out', other.blpop('queue', 0.2), null);
  setTimeout(() => r.zadd('zqueue', 7, 'job'), 200);
  await equal('bzpopmin', other.bzpopmin('zqueue', 10).then((x) => x.map(String)),
    ['zqueue', 'job', '7']);
  await other.quit();
}

async function channels(r) {
  const sub = r.duplicate();
  const messages = [];
  const both = new Promise((resolve) => {
    const add = (...words) => {
      messages.push(words.join(' '));
      if (messages.length === 2) resolve();
    };
    sub.on('message', add);
    sub.on('pmessage', add);
  });
  await equal('subscribe', sub.subscribe('news'), 1);
  await equal('psubscribe', sub.psubscribe('n*'), 2);
  await equal('publish', r.publish('news', 'hello'), 2);
  await both;
  await equal('messages', messages.sort(), ['n* news hello', 'news hello']);
  // Without a name its promise never settles in RESP3, with redis-server too.
  await sub.unsubscribe('news');
  await sub.punsubscribe('n*');
  await sub.quit();
}

async function errors(r) {
  await r.rpush('l2', 1);
  await refused('GET of a list', r.get('l2'), /^ReplyError: WRONGTYPE/);
  await refused('an unknown command', r.call('NOSUCH'), /unknown command/);
  await refused('too few words', r.call('GET'), /wrong number of arguments/);
  await equal('after errors', r.ping(), 'PONG');
}

async function main() {
  const r = new Redis(port, '127.0.0.1');
  r.on('error', (error) => { throw error; });
  await new Promise((resolve) => { r.once('ready', resolve); });
  await strings(r);
  await collections(r);
  await pipelines(r);
  await blocking(r);
  await channels(r);
  await errors(r);
  await equal('info', r.info().then((i) => /redis_version:\d+\.\d+/.test(i)), true);
  await equal('flushall', r.flushall(), 'OK');
  await r.quit();
  console.log(`ioredis ${from('ioredis/package.json').version}: ${checks} checks passed`);
}

main().catch((error) => {
  console.error('ioredis:', error);
  process.exit(1);
});
