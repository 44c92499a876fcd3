package simulator

// A good is what every shop of the brand sells. Orders have prices of their
// own: the price here is the list's.
type good struct {
	Product, SKU int64
	Title        string
	Price        int64 // fen
	Stock        int
}

// The numbers of the first product and its SKU.
const (
	firstProduct = 700_000_000_001
	firstSKU     = 5_000_000_000_001
)

// shelf is everything that the brand sells.
func shelf() []good {
	var all []good
	for i, title := range goods {
		all = append(all, good{Product: firstProduct + int64(i), SKU: firstSKU + int64(i), Title: title,
			Price: 9900 + int64(i)*1000, Stock: 100 + 10*i})
	}
	return all
}
