package simulator

// The shapes below have the platform's names and types. Money is yuan as
// text, times are "yyyy-MM-dd HH:mm:ss" in GMT+8 ("" when not yet), unless a
// field says otherwise.

type weidianOrderPage struct {
	TotalNum int                `json:"total_num"`
	OrderNum int                `json:"order_num"` // on this page
	Orders   []weidianOrderItem `json:"orders"`
}

// weidianOrderItem is a row of the list. Version 1.1 has a numeric text as
// status and no refundStatus, 1.5 numbers.
type weidianOrderItem struct {
	OrderID      string           `json:"order_id"`
	Status       any              `json:"status"`
	RefundStatus *int             `json:"refundStatus,omitempty"`
	Status2      string           `json:"status2"`
	Total        string           `json:"total"`
	Time         string           `json:"time"`
	UpdateTime   string           `json:"update_time"`
	Img          string           `json:"img"`
	BuyerNote    string           `json:"buyer_note"`
	SellerNote   string           `json:"seller_note"`
	ExpressNo    string           `json:"express_no"`
	ExpressType  string           `json:"express_type"`
	BuyerInfo    weidianBuyerInfo `json:"buyer_info"`
}

// weidianBuyerInfo is the receiver, and in the detail the buyer's number.
type weidianBuyerInfo struct {
	BuyerID     *string `json:"buyer_id"` // null in the list
	Name        string  `json:"name"`
	Phone       string  `json:"phone"`
	Province    string  `json:"province"`
	City        string  `json:"city"`
	Region      string  `json:"region"`
	SelfAddress string  `json:"self_address"`
	Address     string  `json:"address"`
	Post        string  `json:"post"`
	IDCardNo    *string `json:"idCardNo,omitempty"` // in the detail
}

type weidianOrderDetail struct {
	OrderID            string           `json:"order_id"`
	Status             string           `json:"status"`
	StatusDesc         string           `json:"status_desc"`
	Status2            string           `json:"status2"`
	StatusOri          int              `json:"status_ori"`
	RefundStatusOri    int              `json:"refund_status_ori"`
	OrderType          string           `json:"order_type"`
	OrderTypeDes       string           `json:"order_type_des"`
	AddTime            string           `json:"add_time"`
	PayTime            string           `json:"pay_time"`
	SendTime           string           `json:"send_time"`
	FinishTime         string           `json:"finish_time"`
	ConfirmExpire      string           `json:"confirm_expire"`
	Price              string           `json:"price"`
	Total              string           `json:"total"`
	ExpressFee         string           `json:"express_fee"`
	ExpressFeeNum      string           `json:"express_fee_num"`
	OriginalTotalPrice string           `json:"original_total_price"`
	Discount           string           `json:"discount"`
	DiscountAmount     string           `json:"discount_amount"`
	DiscountInfo       string           `json:"discount_info"`
	DiscountList       []any            `json:"discount_list"`
	Quantity           string           `json:"quantity"`
	Note               string           `json:"note"`
	ExpressNote        string           `json:"express_note"`
	SellerNote         string           `json:"seller_note"`
	Express            string           `json:"express"`
	ExpressType        string           `json:"express_type"`
	ExpressNo          string           `json:"express_no"`
	TradeNo            string           `json:"trade_no"`
	UserPhone          string           `json:"user_phone"`
	Weixin             string           `json:"weixin"`
	SellerID           string           `json:"seller_id"`
	SellerName         string           `json:"seller_name"`
	IsClose            string           `json:"is_close"`
	ArgueFlag          string           `json:"argue_flag"`
	BuyerInfo          weidianBuyerInfo `json:"buyer_info"`
	Items              []weidianItem    `json:"items"`
}

type weidianItem struct {
	ItemID          string            `json:"item_id"`
	ItemName        string            `json:"item_name"`
	SKUID           string            `json:"sku_id"`
	SKUTitle        string            `json:"sku_title"`
	Price           string            `json:"price"`
	Quantity        string            `json:"quantity"`
	TotalPrice      string            `json:"total_price"`
	Img             string            `json:"img"`
	URL             string            `json:"url"`
	MerchantCode    string            `json:"merchant_code"`
	SKUMerchantCode string            `json:"sku_merchant_code"`
	SubOrderID      int64             `json:"sub_order_id"`
	RefundInfo      weidianItemRefund `json:"refund_info"`
}

type weidianItemRefund struct {
	RefundNo         string `json:"refund_no"`
	RefundFee        string `json:"refund_fee"`
	RefundItemFee    string `json:"refund_item_fee"`
	RefundExpressFee string `json:"refund_express_fee"`
	RefundStatus     string `json:"refund_status"`
	RefundStatusDesc string `json:"refund_status_desc"`
	RefundKind       string `json:"refund_kind"`
	CanRefund        string `json:"can_refund"`
	ItemID           string `json:"item_id"`
	ItemSKUID        string `json:"item_sku_id"`
}

type weidianRefundPage struct {
	Total int             `json:"total"`
	List  []weidianRefund `json:"list"`
}

// weidianRefund is a row of the refund list, and the refundBasicInfo of the
// detail. Its times are Unix milliseconds, 0 when not yet.
type weidianRefund struct {
	RefundNo       string `json:"refundNo"`
	OrderID        string `json:"orderId"`
	SubOrderID     int64  `json:"subOrderId"`
	BuyerID        string `json:"buyerId"`
	RefundStage    int    `json:"refundStage"`
	RefundKind     int    `json:"refundKind"`
	Status         int    `json:"status"`
	StatusDesc     string `json:"statusDesc"`
	RefundFee      string `json:"refundFee"`
	RefundReason   string `json:"refundReason"`
	AddTime        int64  `json:"addTime"`
	UpdateTime     int64  `json:"updateTime"`
	FinishTime     int64  `json:"finishTime"`
	ItemID         string `json:"itemId"`
	ItemTitle      string `json:"itemTitle"`
	ItemSKUID      string `json:"itemSkuId"`
	ItemSKUTitle   string `json:"itemSkuTitle"`
	BuyerName      string `json:"buyerName"`
	BuyerTelephone string `json:"buyerTelephone"`
	BuyerAddress   string `json:"buyerAddress"`
	ExpressNo      string `json:"expressNo"`
	ExpressType    string `json:"expressType"`
}
