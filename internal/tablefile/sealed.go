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

// mostSealed is the size of a workbook with a password of its own that is read. The
// library decrypts it as a whole, and a process that reads one stays below 200 MB.
const mostSealed = 12 << 20

var errSealed = errors.New("it has a password of its own, and is too large to be decrypted: save it without one, or as CSV, and seal that in a zip (AES-256), which may have any size, or split it")

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
	return f.workbook(ctx, z, int64(len(plain)), true, from, visit)
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

// sealedEntry visits the sheets of a workbook that a sealed zip holds. It is read at
// places, and lies on disk meanwhile as nobody else can read it.
func (f *Files) sealedEntry(ctx context.Context, in io.Reader, from source, visit Visitor) error {
	file, size, err := f.spill(in, true)
	if err != nil {
		return fmt.Errorf("read %s: %w", from.name, plainError(err))
	}
	defer file.Close()
	z, err := zip.NewReader(file, size)
	if err != nil {
		return fmt.Errorf("read %s: it is no workbook (XLSX): %w", from.name, err)
	}
	return f.workbook(ctx, z, size, true, from, visit)
}
