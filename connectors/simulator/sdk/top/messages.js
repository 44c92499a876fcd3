'use strict';
// Takes the messages of the simulated Tmall with the message client of the
// platform's own Node SDK: each change of an order is told until it is
// confirmed, and a wrong secret is refused.
// usage: node messages.js '<the line of addresses that oneid simulate prints>'
const os = require('os');
const { TmcClient } = require('taobao-sdk');
const { check, post } = require('./check.js');

// The SDK tells the service its machine's address, and fails where there is none
// but the loopback.
const interfaces = os.networkInterfaces;
os.networkInterfaces = () => ({ ...interfaces(), sdk: [{ family: 'IPv4', address: '192.0.2.1', internal: false }] });

const tmall = JSON.parse(process.argv[2]).tmall;
const socket = new URL('/', tmall.url).href.replace('http', 'ws');
const changes = 5;

// The SDK throws what the service refuses; it connects anew for ever.
process.on('uncaughtException', (error) => {
  check(error.message === 'Invalid signature', 'a wrong secret is refused: ' + error.message);
  process.exit();
});

(async () => {
  const wanted = new Map();
  for (let i = 0; i < changes; i++) {
    const changed = await post(new URL('/_simulator/change', tmall.url), { platform: 'tmall' });
    wanted.set(changed.order + ' ' + changed.status, 0);
  }
  const seen = new Map();
  let late = 0;
  let confirmed = false;
  const words = { WAIT_SELLER_SEND_GOODS: 'paid', WAIT_BUYER_CONFIRM_GOODS: 'shipped', TRADE_FINISHED: 'finished' };
  const topics = { paid: 'taobao_trade_TradeBuyerPay', shipped: 'taobao_trade_TradeSellerShip', finished: 'taobao_trade_TradeSuccess' };
  await new Promise((resolve) => {
    new TmcClient(tmall.app_key, tmall.app_secret, 'default').connect(socket, (message, done) => {
      const tid = /"tid":(\d+)/.exec(message.content)[1]; // beyond JavaScript's numbers
      const status = words[JSON.parse(message.content).status];
      if (confirmed) late++;
      if (message.topic !== topics[status] || !/^\d+$/.test(message.id)) check(false, 'a message of another form: ' + JSON.stringify(message));
      seen.set(tid + ' ' + status, message.id);
      done();
      if (seen.size === changes) setTimeout(() => { confirmed = true; }, 500);
      if (seen.size === changes) setTimeout(resolve, 2500);
    });
    setTimeout(resolve, 30000).unref();
  });
  check([...wanted.keys()].every((key) => seen.has(key)) && seen.size === changes, `${seen.size} messages of ${changes} changes came`);
  check(late === 0, 'what was confirmed does not come again');
  new TmcClient(tmall.app_key, 'wrong', 'default').connect(socket, () => check(false, 'a message came to a wrong secret'));
  setTimeout(() => { check(false, 'a wrong secret is refused'); process.exit(); }, 10000);
})();
