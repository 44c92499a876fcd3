// Package simulator invents one population of shoppers with known truth and
// shows it through each platform's HTTP face, written from what the platforms
// document and from no connector's code.
//
// Nothing is stored: each person, account, order and refund is computed from
// the seed and its index when it is asked for, so memory does not grow with
// the orders. Only orders that changed after the data's end are held.
//
// # What the faces serve
//
// Every reading method of which the platform's public documents or clients give
// the answer's shape: the keys of tmallMethods (tmall.go), of douyin.methods
// (douyin.go) and of weidian.methods (weidian.go); and of the help-desk Sobot
// the three calls of sobot.go. Signatures, encodings of
// parameters, limits, windows, filters and refusals are the platform's. A
// filter for something that the world has not (presales, exchanges, ratings,
// arbitration, stores, suppliers) keeps everything or nothing, never what it
// was not asked for; lists of such things are empty.
//
// Tmall's trades of some types, and Weidian's unfinished group purchases, are left
// out by the lists unless they are named, as on the platforms: TmallOptions.Kinds
// and WeidianOptions.GroupBuys make such; Serve's shops have them.
//
// Windows are counted from the face's clock, as on the platform, not from the
// data's end: of a world that ended long ago Tmall and Douyin list no orders.
//
// # Faults
//
// A face misbehaves as it is told (Faults): what a bad day brings of the
// network, the gateway and the platform's limits, seeded, so that the same
// calls meet the same faults again. Off by default.
//
// # What is told
//
// A Pusher posts messages of Douyin and Weidian to an address, signed where the
// platform signs: seeded, some twice and out of order, and again until the
// answer is the one that the platform wants. Tmall's messages come by its
// methods and over its long connection (a WebSocket at the face's own address),
// until they are confirmed. Messages tell of Change, and of what the world
// holds where that is asked for. How often and how long the platforms send
// again, and what status a refused connection gets, is published nowhere.
//
// # Limits
//
// Answered as methods that do not exist, since the shape of their answer, or
// what they ask for, is published nowhere:
//   - Tmall: taobao.refund.status.get, taobao.traderates.get,
//     taobao.qianniu.kefueval.get, tmall.servicecenter.workcard.querybyseller,
//     taobao.user.openuid.getbynick and .getbyorder, taobao.openuid.get.bytrade,
//     taobao.crm.history.ouid.get and .omid.get,
//     taobao.opensecurity.isv.uid.get, taobao.top.oaid.client.decrypt,
//     taobao.top.secret.bill.detail, tmall.mei.*, taobao.tmc.user.get and
//     taobao.tmc.queue.get.
//   - Douyin: order.searchByReceiver, order.getUserOrderList, order.mergeV2,
//     order.batchEncrypt, order.getMCToken, and member.searchList, which is gone.
//   - Weidian: lists of buyers, tags and conversations.
//
// So are the methods that write to the platform. Names that the documents lack
// are invented, each where its method is defined: of Tmall's
// crm.grade.get and member.hismemberdata.get.privy, and of Weidian's order.ids,
// refund list, goods' SKUs and customer.
//
// Values of filters that the documents do not list: Tmall's rate_status has the
// names RATE_UNBUYER, RATE_UNSELLER, RATE_BUYER_UNSELLER, RATE_UNBUYER_SELLER
// and RATE_BUYER_SELLER; any tag is one that no trade bears; any fulfil_status
// of Douyin's order.searchList is one that no order has; of afterSale.List's
// logistics_status and order_logistics_state 0 keeps everything, and
// standard_aftersale_status has the numbers of aftersale_status.
//
// Of the help-desk two codes are published; 999999 stands for all others. Its
// names of what was done about a ticket are invented, and that it pushes
// tickets (SobotDesk.Push makes such a push, for tests) is assumed.
package simulator
