// npm's ioredis as a client that knows the cluster.  usage: cluster_ioredis.js PORT MODULES-FOLDER
'use strict';
const from = require('node:module').createRequire(process.argv[3] + '/');
const { Cluster } = from('ioredis');
const cluster = new Cluster([{ host: '127.0.0.1', port: Number(process.argv[2]) }]);
cluster.on('error', () => {});
require('./cluster_load.js').run('ioredis', cluster);
