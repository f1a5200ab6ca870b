// npm's redis (node-redis) at its defaults.  usage: smoke_redis.js PORT MODULES-FOLDER
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const from = require('node:module').createRequire(process.argv[3] + '/');
const { createClient } = from('redis');
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
  await equal('ping', r.ping(), 'PONG');
  await equal('set', r.set('k', 'v'), 'OK');
  await equal('get', r.get('k'), 'v');
  await equal('set nx', r.set('k', 'w', { NX: true }), null);
  await equal('mSet', r.mSet({ a: '1', b: '2' }), 'OK');
  await equal('mGet', r.mGet(['a', 'b', 'none']), ['1', '2', null]);
  await equal('incrBy', r.incrBy('a', 5), 6);
  await equal('expire', r.expire('a', 100), 1);
  await equal('ttl', r.ttl('a').then((t) => t >= 98 && t <= 100), true);
  await equal('3 MB', r.set('large', 'x'.repeat(3 << 20)).then(() => r.strLen('large')), 3 << 20);
}

async function collections(r) {
  await equal('hSet', r.hSet('h', { f: '1', g: '2' }), 2);
  await equal('hGetAll', r.hGetAll('h').then((h) => ({ ...h })), { f: '1', g: '2' });
  await equal('zAdd', r.zAdd('z', [{ score: 1, value: 'a' }, { score: 2.5, value: 'b' }]), 2);
  await equal('zRangeWithScores', r.zRangeWithScores('z', 0, -1),
    [{ value: 'a', score: 1 }, { value: 'b', score: 2.5 }]);
  await equal('zScore', r.zScore('z', 'b'), 2.5);
  await equal('zScore of none', r.zScore('z', 'none'), null);
  await equal('rPush', r.rPush('l', ['a', 'b', 'c']), 3);
  await equal('lRange', r.lRange('l', 0, -1), ['a', 'b', 'c']);
  await equal('sAdd', r.sAdd('s', ['x', 'y']), 2);
  await equal('sMembers', r.sMembers('s').then((m) => [...m].sort()), ['x', 'y']);
  await Promise.all(Array.from({ length: 1000 }, (_, i) => r.set('scan:' + i, String(i))));
  const seen = new Set();
  for await (const keys of r.scanIterator({ MATCH: 'scan:*', COUNT: 100 })) {
    [keys].flat().forEach((k) => seen.add(k));
  }
  await equal('scanIterator', seen.size, 1000);
}

async function pipelines(r) {
  // Commands of one turn of the event loop are one pipeline.
  await equal('pipeline', Promise.all(Array.from({ length: 500 }, () => r.incr('piped'))),
    Array.from({ length: 500 }, (_, i) => i + 1));
  await equal('multi', r.multi().set('tx', '1').incr('tx').get('tx').exec(), ['OK', 2, '2']);
  const watching = r.duplicate();
  await watching.connect();
  await watching.watch('tx');
  await r.set('tx', '9');
  await refused('watch', watching.multi().incr('tx').exec(), /watch/i);
  await watching.close();
}

async function blocking(r) {
  const other = r.duplicate();
  await other.connect();
  setTimeout(() => r.rPush('queue', 'job'), 200);
  await equal('blPop', other.blPop('queue', 10).then((x) => ({ ...x })),
    { key: 'queue', element: 'job' });
  await equal('blPop time-out', other.blPop('queue', 0.2), null);
  setTimeout(() => r.zAdd('zqueue', { score: 7, value: 'job' }), 200);
  await equal('bzPopMin', other.bzPopMin('zqueue', 10).then((x) => ({ ...x })),
    { key: 'zqueue', value: 'job', score: 7 });
  await other.close();
}

async function channels(r) {
  const sub = r.duplicate();
  await sub.connect();
  const messages = [];
  let arrived;
  const both = new Promise((resolve) => { arrived = resolve; });
  const add = (message, channel) => {
    messages.push(channel + ' ' + message);
    if (messages.length === 2) arrived();
  };
  await sub.subscribe('news', add);
  await sub.pSubscribe('n*', add);
  await equal('publish', r.publish('news', 'hello'), 2);
  await both;
  await equal('messages', messages, ['news hello', 'news hello']);
  await equal('ping while subscribed', sub.ping(), 'PONG');
  await sub.unsubscribe();
  await sub.pUnsubscribe();
  await sub.close();
}

async function errors(r) {
  await r.rPush('l2', '1');
  await refused('GET of a list', r.get('l2'), /WRONGTYPE/);
  await refused('an unknown command', r.sendCommand(['NOSUCH']), /unknown command/);
  await refused('too few words', r.sendCommand(['GET']), /wrong number of arguments/);
  await equal('after errors', r.ping(), 'PONG');
}

async function main() {
  const r = createClient({ url: `redis://127.0.0.1:${port}` });
  r.on('error', (error) => { throw error; });
  await r.connect();
  await strings(r);
  await collections(r);
  await pipelines(r);
  await blocking(r);
  await channels(r);
  await errors(r);
  await equal('info', r.info().then((i) => /redis_version:\d+\.\d+/.test(i)), true);
  await equal('flushAll', r.flushAll(), 'OK');
  await r.close();
  const manifest = JSON.parse(fs.readFileSync(
    process.argv[3] + '/node_modules/redis/package.json', 'utf8'));
  console.log(`redis ${manifest.version}: ${checks} checks passed`);
}

main().catch((error) => {
  console.error('redis:', error);
  process.exit(1);
});
