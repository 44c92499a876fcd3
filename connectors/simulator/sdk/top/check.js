'use strict';
const http = require('http');

let failed = 0;

// check prints what was found, and makes the program fail if it is not so.
exports.check = function check(is, what) {
  if (is && what.startsWith('an order is whole')) return;
  console.log((is ? 'ok      ' : 'FAILED  ') + what);
  if (!is) { failed++; process.exitCode = 1; }
};

// get and post ask the simulator itself, not the platform.
function ask(url, method, body) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method }, (response) => {
      let text = '';
      response.on('data', (part) => { text += part; });
      response.on('end', () => response.statusCode === 200 ? resolve(JSON.parse(text)) : reject(new Error(text)));
    });
    request.on('error', reject);
    request.end(body);
  });
}
exports.get = (url) => ask(url, 'GET');
exports.post = (url, body) => ask(url, 'POST', JSON.stringify(body));

process.on('unhandledRejection', (error) => { console.log('FAILED  ' + (error.stack || JSON.stringify(error))); process.exit(1); });
