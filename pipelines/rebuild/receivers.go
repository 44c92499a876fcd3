package rebuild

import (
	"context"
	"fmt"

	"oneid/identity"
)

// Receivers calls do for each account and each receiver that it was seen with,
// masked as they are kept, in the order of the accounts and of the receivers'
// keys: the same rows are told in the same order. It asks ClickHouse and opens
// what is sealed; no topic is read.
func (r *Rebuild) Receivers(ctx context.Context, do func(identity.Account, identity.Appearance)) error {
	known := map[identity.Hash]identity.Appearance{}
	if err := r.appearances(ctx, func(hash identity.Hash, fields identity.Appearance) { known[hash] = fields }); err != nil {
		return err
	}
	n := 0
	return r.ClickHouse.Rows(ctx, "read who was seen with which receiver", "SELECT platform, shop, account, hash FROM "+r.table("evidence")+
		" WHERE type = '"+string(identity.AppearanceType)+"' GROUP BY platform, shop, account, hash ORDER BY platform, shop, account, hash", func(scan func(...any) error) error {
		var account identity.Account
		var hash string
		if err := scan(&account.Platform, &account.Shop, &account.ID, &hash); err != nil {
			return err
		}
		if len(hash) != len(identity.Hash{}) {
			return fmt.Errorf("a hash has %d bytes", len(hash))
		}
		if fields, ok := known[identity.Hash([]byte(hash))]; ok { // else it was erased
			do(account, fields)
		}
		n++
		r.progress("receivers", n)
		return nil
	}, spill...)
}
