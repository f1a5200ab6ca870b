// npm's redis as a client that knows the cluster.  usage: cluster_redis.js PORT MODULES-FOLDER
'use strict';
const from = require('node:module').createRequire(process.argv[3] + '/');
const { createCluster } = from('redis');
const cluster = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${process.argv[2]}` }] });
cluster.on('error', () => {});
cluster.connect().then(() => require('./cluster_load.js').run('redis', cluster));
