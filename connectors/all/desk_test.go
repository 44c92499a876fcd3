package all

import (
	"crypto/sha256"
	"net/http/httptest"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/connectors/sobot"
	"oneid/connectors/weidian"
	"oneid/identity"
	"oneid/identity/extract"
)

// evidence is what a stream of a connector says of people, from its beginning.
func evidence(t *testing.T, c connectors.Connector, stream string) []identity.Evidence {
	t.Helper()
	x := extract.Extractor{Rules: identity.DefaultRules(), Hash: func(typ identity.IdentifierType, scope, value string) identity.Hash {
		sum := sha256.Sum256([]byte(string(typ) + "\x00" + scope + "\x00" + value))
		return identity.Hash(sum[:16])
	}}
	var all []identity.Evidence
	for page, err := range c.Read(t.Context(), stream, "") {
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range page.Records {
			list, err := c.Map(record)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				all = append(all, x.Extract(e).Evidence...)
			}
		}
	}
	return all
}

// A ticket of the help-desk lands on the customer who bought in the shop: by
// the phone in it, or by the shop's own id of the buyer where the brand gave it
// to the desk. And no two people become one through the
// desk.
func TestTicketsOfTheDeskFindTheirCustomers(t *testing.T) {
	t.Parallel()
	for name, named := range map[string]bool{"by phone": false, "by the shop's id of the buyer": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			world, err := simulator.New(simulator.Config{People: 600, Seed: 11, From: now.Add(-9 * 24 * time.Hour), Until: now.Add(-time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			desk := simulator.Sobot(world, simulator.SobotOptions{NamesUsers: named})
			deskServer, shopServer := httptest.NewServer(desk), httptest.NewServer(simulator.Weidian(world, simulator.WeidianOptions{}))
			defer deskServer.Close()
			defer shopServer.Close()
			keys, e := simulator.SobotCredentialsOf(world), simulator.EndpointsOf(world, "", "", shopServer.URL).Weidian
			tickets, err := sobot.New("desk", sobot.Config{
				URL: deskServer.URL, AppID: keys.AppID, AppKey: keys.AppKey, BackfillDays: 10, RequestsPerSecond: 1e6, PartnerIDType: "weidian_buyer_id", PartnerIDScope: e.Shop,
			})
			if err != nil {
				t.Fatal(err)
			}
			shop, err := weidian.New(e.Shop, weidian.Config{URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, AccessToken: e.AccessToken, BackfillDays: 10, RequestsPerSecond: 1e6})
			if err != nil {
				t.Fatal(err)
			}
			seen := append(evidence(t, shop, weidian.Users), evidence(t, shop, weidian.Orders)...)
			ofDesk := evidence(t, tickets, sobot.Tickets)
			bought := make(map[identity.Hash]map[string]bool) // identifier → the shop's accounts
			for _, piece := range seen {
				if piece.Role == identity.RoleReceiver {
					continue
				}
				if bought[piece.Identifier.Hash] == nil {
					bought[piece.Identifier.Hash] = make(map[string]bool)
				}
				bought[piece.Identifier.Hash][piece.Account.ID] = true
			}
			// mixed are the customers in which the shop's buyers are several people.
			mixed := func(customers [][]identity.Account) (n int) {
				for _, accounts := range customers {
					people := make(map[int]bool)
					for _, a := range accounts {
						if known, ok := world.AccountByID(weidian.Platform, a.ID); ok && a.Platform == weidian.Platform {
							people[known.Person] = true
						}
					}
					if len(people) > 1 {
						n++
					}
				}
				return n
			}
			without := identity.Resolve(seen, nil, identity.DefaultRules()).Customers
			with := identity.Resolve(append(seen, ofDesk...), nil, identity.DefaultRules()).Customers
			if mixed(with) > mixed(without) {
				t.Errorf("with the desk %d customers are several people, without it %d", mixed(with), mixed(without))
			}
			customerOf := make(map[identity.Account]int)
			for i, accounts := range with {
				for _, a := range accounts {
					customerOf[a] = i
				}
			}
			should := 0
			for _, piece := range ofDesk {
				shops := bought[piece.Identifier.Hash]
				if len(shops) != 1 || piece.Role != identity.RoleBuyer { // bought elsewhere, a number of two buyers of the shop, or typed by staff
					continue
				}
				should++
				for id := range shops {
					if customerOf[piece.Account] != customerOf[identity.Account{Platform: weidian.Platform, Shop: e.Shop, ID: id}] {
						t.Errorf("the desk's %s is not the customer of %s, whose %s it names", piece.Account, id, piece.Identifier.Type)
					}
				}
			}
			if should < 20 {
				t.Errorf("%d tickets name a buyer of the shop: too few to tell", should)
			}
		})
	}
}
