package simulator

// The shapes below have the platform's names and types, in the order of its
// examples. Money is in 分, times are Unix seconds (0: not yet), unless a
// field is text.

type douyinOrderPage struct {
	Page   int64         `json:"page"`
	Size   int64         `json:"size"`
	Total  int           `json:"total"`
	Orders []douyinOrder `json:"shop_order_list"`
}

type douyinState struct {
	OrderStatus     int    `json:"order_status"`
	OrderStatusDesc string `json:"order_status_desc"`
	MainStatus      int    `json:"main_status"`
	MainStatusDesc  string `json:"main_status_desc"`
	CancelReason    string `json:"cancel_reason"`
	CreateTime      int64  `json:"create_time"`
	UpdateTime      int64  `json:"update_time"`
	PayTime         int64  `json:"pay_time"`
	FinishTime      int64  `json:"finish_time"`
	OrderExpireTime int64  `json:"order_expire_time"` // a duration
	ExpShipTime     int64  `json:"exp_ship_time"`
	ShipTime        int64  `json:"ship_time"`
}

type douyinMoney struct {
	OrderAmount             int64 `json:"order_amount"`
	PayAmount               int64 `json:"pay_amount"`
	PostAmount              int64 `json:"post_amount"`
	PostOriginAmount        int64 `json:"post_origin_amount"`
	PostPromotionAmount     int64 `json:"post_promotion_amount"`
	ModifyAmount            int64 `json:"modify_amount"`
	ModifyPostAmount        int64 `json:"modify_post_amount"`
	PromotionAmount         int64 `json:"promotion_amount"`
	PromotionShopAmount     int64 `json:"promotion_shop_amount"`
	PromotionPlatformAmount int64 `json:"promotion_platform_amount"`
	PromotionTalentAmount   int64 `json:"promotion_talent_amount"`
	TotalPromotionAmount    int64 `json:"total_promotion_amount"`
	TaxAmount               int64 `json:"tax_amount"`
}

type douyinReceiver struct {
	PostTel             string         `json:"post_tel"`
	PostReceiver        string         `json:"post_receiver"`
	EncryptPostTel      string         `json:"encrypt_post_tel"`
	EncryptPostReceiver string         `json:"encrypt_post_receiver"`
	MaskPostTel         string         `json:"mask_post_tel"`
	MaskPostReceiver    string         `json:"mask_post_receiver"`
	PostAddr            douyinAddr     `json:"post_addr"`
	MaskPostAddr        douyinMaskAddr `json:"mask_post_addr"`
}

type douyinRegion struct {
	Name string `json:"name"`
	ID   string `json:"id"`
}

type douyinMaskAddr struct {
	Province douyinRegion `json:"province"`
	City     douyinRegion `json:"city"`
	Town     douyinRegion `json:"town"`
	Street   douyinRegion `json:"street"`
	Detail   string       `json:"detail"`
}

type douyinAddr struct {
	douyinMaskAddr
	EncryptDetail string `json:"encrypt_detail"`
}

type douyinOrder struct {
	OrderID           string `json:"order_id"`
	OrderLevel        int    `json:"order_level"`
	ShopID            int64  `json:"shop_id"`
	ShopName          string `json:"shop_name"`
	OpenID            string `json:"open_id"` // of a mini-app
	DoudianOpenID     string `json:"doudian_open_id"`
	OpenAddressID     string `json:"open_address_id"`
	Biz               int    `json:"biz"`
	BizDesc           string `json:"biz_desc"`
	OrderType         int    `json:"order_type"`
	OrderTypeDesc     string `json:"order_type_desc"`
	BType             int    `json:"b_type"`
	BTypeDesc         string `json:"b_type_desc"`
	SubBType          int    `json:"sub_b_type"`
	SubBTypeDesc      string `json:"sub_b_type_desc"`
	PayType           int    `json:"pay_type"`
	ChannelPaymentNo  string `json:"channel_payment_no"`
	BuyerWords        string `json:"buyer_words"`
	SellerWords       string `json:"seller_words"`
	SellerRemarkStars int    `json:"seller_remark_stars"`
	douyinState
	douyinMoney
	douyinReceiver
	LogisticsInfo  []douyinParcel   `json:"logistics_info"`
	OrderPhaseList []any            `json:"order_phase_list"`
	SKUOrders      []douyinSKUOrder `json:"sku_order_list"`
	// PromotionDetail is in the detail only.
	PromotionDetail map[string]any `json:"promotion_detail,omitempty"`
}

type douyinParcel struct {
	TrackingNo  string `json:"tracking_no"`
	Company     string `json:"company"`
	CompanyName string `json:"company_name"`
	ShipTime    int64  `json:"ship_time"`
	DeliveryID  string `json:"delivery_id"`
	ProductInfo []any  `json:"product_info"`
}

type douyinSKUOrder struct {
	OrderID       string             `json:"order_id"`
	ParentOrderID string             `json:"parent_order_id"`
	OrderLevel    int                `json:"order_level"`
	TradeType     int                `json:"trade_type"`
	ProductID     int64              `json:"product_id"`
	ProductIDStr  string             `json:"product_id_str"`
	ProductName   string             `json:"product_name"`
	SKUID         int64              `json:"sku_id"`
	Code          string             `json:"code"`
	Spec          []douyinSpec       `json:"spec"`
	OriginAmount  int64              `json:"origin_amount"`
	GoodsPrice    int64              `json:"goods_price"`
	ItemNum       int64              `json:"item_num"`
	SumAmount     int64              `json:"sum_amount"`
	AuthorID      int64              `json:"author_id"`
	CBiz          int                `json:"c_biz"`
	CBizDesc      string             `json:"c_biz_desc"`
	AfterSaleInfo douyinAfterSaleTag `json:"after_sale_info"`
	douyinState
	douyinMoney
	douyinReceiver
}

type douyinSpec struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type douyinAfterSaleTag struct {
	Status       int `json:"after_sale_status"`
	Type         int `json:"after_sale_type"`
	RefundStatus int `json:"refund_status"`
}

type douyinAfterSalePage struct {
	HasMore bool              `json:"has_more"`
	Total   int               `json:"total"`
	Page    int64             `json:"page"`
	Size    int               `json:"size"` // what this page holds
	Items   []douyinAfterSale `json:"items"`
}

type douyinAfterSale struct {
	Info       douyinAfterSaleInfo  `json:"aftersale_info"`
	OrderInfo  douyinAfterSaleOrder `json:"order_info"`
	TextPart   douyinAfterSaleText  `json:"text_part"`
	SellerLogs []any                `json:"seller_logs"`
}

type douyinAfterSaleInfo struct {
	AfterSaleID           string        `json:"aftersale_id"`
	AfterSaleOrderType    int           `json:"aftersale_order_type"`
	RelatedID             string        `json:"related_id"`
	AfterSaleType         int           `json:"aftersale_type"`
	AfterSaleStatus       int           `json:"aftersale_status"`
	RefundStatus          int           `json:"refund_status"`
	ApplyTime             int64         `json:"apply_time"`
	CreateTime            int64         `json:"create_time"`
	UpdateTime            int64         `json:"update_time"`
	StatusDeadline        int64         `json:"status_deadline"`
	FinalTime             int64         `json:"aftersale_status_to_final_time"`
	RefundAmount          int64         `json:"refund_amount"`
	RefundPostAmount      int64         `json:"refund_post_amount"`
	AfterSaleRefundType   int           `json:"aftersale_refund_type"`
	RefundTaxAmount       int64         `json:"refund_tax_amount"`
	ReturnPromotionAmount int64         `json:"return_promotion_amount"`
	AfterSaleNum          int64         `json:"aftersale_num"`
	PartType              int           `json:"part_type"`
	GotPkg                int           `json:"got_pkg"`
	ArbitrateStatus       int           `json:"arbitrate_status"`
	Remark                string        `json:"remark"`
	ReasonSecondLabels    []douyinLabel `json:"reason_second_labels"`
}

type douyinLabel struct {
	Code int    `json:"code"`
	Name string `json:"name"`
}

type douyinAfterSaleOrder struct {
	ShopOrderID string               `json:"shop_order_id"`
	OrderFlag   int                  `json:"order_flag"`
	Related     []douyinRelatedOrder `json:"related_order_info"`
}

type douyinRelatedOrder struct {
	SKUOrderID         string `json:"sku_order_id"`
	OrderStatus        int    `json:"order_status"`
	PayAmount          int64  `json:"pay_amount"`
	PostAmount         int64  `json:"post_amount"`
	ItemNum            int64  `json:"item_num"`
	CreateTime         int64  `json:"create_time"`
	ProductName        string `json:"product_name"`
	ProductID          int64  `json:"product_id"`
	AfterSalePayAmount int64  `json:"aftersale_pay_amount"`
	AfterSaleItemNum   int64  `json:"aftersale_item_num"`
}

type douyinAfterSaleText struct {
	Status string `json:"aftersale_status_text"`
	Type   string `json:"aftersale_type_text"`
	Reason string `json:"reason_text"`
}

// douyinService is a row of order.getServiceList. Its times are texts.
type douyinService struct {
	ID                int64  `json:"id"`
	OrderID           int64  `json:"order_id"`
	ShopID            int64  `json:"shop_id"`
	ServiceType       int    `json:"service_type"`
	OperateStatus     int    `json:"operate_status"`
	OperateStatusDesc string `json:"operate_status_desc"`
	Detail            string `json:"detail"`
	Reply             string `json:"reply"`
	CreateTime        string `json:"create_time"`
	UpdateTime        string `json:"update_time"`
	ReplyTime         string `json:"reply_time"`
}

type douyinMember struct {
	Success   bool   `json:"success"`
	OpenID    string `json:"open_id"`
	Mobile    string `json:"mobile"`
	MixMobile string `json:"mix_mobile"`
	UnionID   string `json:"union_id"`
	Level     int    `json:"level"`
	PointCent int64  `json:"point_cent"`
	Extend    string `json:"extend"`
	ErrCode   int    `json:"err_code"`
	ErrMsg    string `json:"err_msg"`
}
