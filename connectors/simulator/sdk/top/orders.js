'use strict';
// Reads all orders of the simulated Tmall with the platform's own Node SDK, and
// is refused with a wrong secret.
// usage: node orders.js '<the line of addresses that oneid simulate prints>'
process.env.TZ = 'Asia/Shanghai'; // the SDK writes the timestamp in the machine's zone, the platform wants GMT+8
const { ApiClient } = require('taobao-sdk');
const { check, get } = require('./check.js');

const tmall = JSON.parse(process.argv[2]).tmall;
const open = (secret) => new ApiClient({ appkey: tmall.app_key, appsecret: secret, url: tmall.url });
const client = open(tmall.app_secret);

// ask calls a method; the SDK gives a refusal as the error.
function ask(client, method, params) {
  return new Promise((resolve, reject) => client.execute(method, { session: tmall.session, ...params },
    (error, answer) => error ? reject(error) : resolve(answer)));
}

async function orders() {
  const found = new Set();
  for (let page = 1; ; page++) {
    const answer = await ask(client, 'taobao.trades.sold.get', {
      // Types that are not named are left out.
      fields: 'tid,tid_str,status,payment,modified,orders', type: 'guarantee_trade,eticket,tmall_i18n,o2o_offlinetrade', page_no: page, page_size: 40, use_has_next: true,
    });
    for (const trade of answer.trades.trade) {
      // Numbers of 19 digits are beyond JavaScript's: the text has them whole.
      check(/^\d{19}$/.test(trade.tid_str) && /^\d+\.\d\d$/.test(trade.payment) && trade.status, 'an order is whole: ' + JSON.stringify(Object.keys(trade)));
      found.add(trade.tid_str);
    }
    if (!answer.has_next) return found;
  }
}

(async () => {
  const counts = await get(new URL('/_simulator/counts', tmall.url));
  const found = await orders();
  check(found.size === counts.tmall.orders && found.size > 0, `read ${found.size} orders of ${counts.tmall.orders}`);
  const tid = [...found][0];
  const one = await ask(client, 'taobao.trade.fullinfo.get', { fields: 'tid_str,status', tid });
  check(one.trade.tid_str === tid, `read the order ${tid} alone`);
  for (const [what, client, code] of [['a wrong secret', open('wrong'), 25], ['another app', new ApiClient({ appkey: '1', appsecret: tmall.app_secret, url: tmall.url }), 29]]) {
    const refusal = await ask(client, 'taobao.trades.sold.get', { fields: 'tid' }).then(() => null, (error) => error);
    check(refusal && refusal.code === code, `${what} is refused with ${code}: ${JSON.stringify(refusal)}`);
  }
})();
