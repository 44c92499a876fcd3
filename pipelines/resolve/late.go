package resolve

import (
	"context"
	"fmt"
	"time"

	"oneid/identity"
	"oneid/schemas/tables"
)

// Watch implements Tables. Its rows are few, and have a token that no batch
// has.
func (b *Blocks) Watch(ctx context.Context, accounts []identity.Account, from time.Time) error {
	watch := tables.NewOverrides()
	for _, a := range accounts {
		if a.ID != "" {
			watch.Append(tables.Account(a), [16]byte{}, tables.WatchVersion(from))
		}
	}
	if watch.Rows() == 0 {
		return nil
	}
	if err := b.write(ctx, watch, fmt.Sprintf("watch/%d/%d/%s", from.UnixMilli(), len(accounts), accounts[0]), true); err != nil {
		return fmt.Errorf("%s, %d rows: %w", watch.Table(), watch.Rows(), err)
	}
	return nil
}
