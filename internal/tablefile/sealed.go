package tablefile

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/xuri/excelize/v2"
)

// A workbook that was sealed is held as a whole, since nothing of it may lie on
// disk in plain. These bounds keep a process that reads one below 200 MB: of its
// file, and of the part with the texts that its sheets share.
const (
	mostSealed      = 12 << 20
	mostSealedTexts = 32 << 20
)

var errSealed = errors.New("it was sealed with a password, and is too large to be read without laying it on disk in plain: save it as CSV and seal that in a zip (AES-256), which may have any size, or split it")

// encryptedWorkbook visits the sheets of a workbook with a password: in is its
// file, of a size. It is decrypted and read in memory.
func (f *Files) encryptedWorkbook(ctx context.Context, in io.Reader, size int64, from source, visit Visitor) error {
	switch {
	case f.Password == "":
		return fmt.Errorf("read %s: %w, or a workbook of the old kind (.xls): give its password, or save it as XLSX or CSV", from.name, ErrPassword)
	case size > mostSealed:
		return fmt.Errorf("read %s: %w; one of the old kind (.xls) is not read at all", from.name, errSealed)
	}
	sealed, err := io.ReadAll(io.LimitReader(in, mostSealed+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", from.name, plainError(err))
	}
	plain, err := decrypt(sealed, f.Password)
	var z *zip.Reader
	if err == nil {
		z, err = zip.NewReader(bytes.NewReader(plain), int64(len(plain)))
	}
	if err != nil { // a wrong password gives anything
		return fmt.Errorf("read %s: %w: the password is wrong, or it is a workbook of the old kind (.xls): save it as XLSX or CSV", from.name, ErrPassword)
	}
	return f.unsealed(ctx, z, len(plain), from, visit)
}

// decrypt opens a sealed workbook. The library trusts what the file says of itself.
func decrypt(sealed []byte, password string) (plain []byte, err error) {
	defer func() {
		if recover() != nil {
			plain, err = nil, errors.New("it is damaged")
		}
	}()
	return excelize.Decrypt(sealed, &excelize.Options{Password: password})
}

// sealedEntry visits the sheets of a workbook that a sealed zip holds: as one that
// was sealed itself it is held.
func (f *Files) sealedEntry(ctx context.Context, in io.Reader, from source, visit Visitor) error {
	plain, err := io.ReadAll(io.LimitReader(in, mostSealed+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", from.name, plainError(err))
	}
	if len(plain) > mostSealed {
		return fmt.Errorf("read %s: %w", from.name, errSealed)
	}
	z, err := zip.NewReader(bytes.NewReader(plain), int64(len(plain)))
	if err != nil {
		return fmt.Errorf("read %s: it is no workbook (XLSX): %w", from.name, err)
	}
	return f.unsealed(ctx, z, len(plain), from, visit)
}

// unsealed visits the sheets of a workbook that was sealed, of so many plain bytes.
// Whoever seals a file may mean harm, too.
func (f *Files) unsealed(ctx context.Context, z *zip.Reader, size int, from source, visit Visitor) error {
	for _, part := range z.File {
		if partName(part.Name) == "xl/sharedstrings.xml" && part.UncompressedSize64 > mostSealedTexts {
			return fmt.Errorf("read %s: %w", from.name, errSealed)
		}
	}
	if size > mostSealed {
		return fmt.Errorf("read %s: %w", from.name, errSealed)
	}
	return f.workbook(ctx, z, int64(size), true, from, visit)
}
