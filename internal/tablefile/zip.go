package tablefile

import (
	"archive/zip"
	"bufio"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	cryptzip "github.com/yeka/zip"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// Bounds of what is unpacked. A table shrinks to a twentieth, now and then to
// a hundredth; what shrinks further and is large is made to harm.
const (
	maxRatio   = 200
	freeBytes  = 64 << 20 // that much may come out of anything
	maxEntries = 10_000
)

// tooMuch says whether so much out of so little is a bomb.
func tooMuch(unpacked, packed uint64) bool {
	return unpacked > freeBytes && unpacked/maxRatio > packed
}

// archive visits the tables of a zip, which may be a workbook.
func (f *Files) archive(ctx context.Context, in io.ReaderAt, size int64, from source, visit Visitor) error {
	z, err := zip.NewReader(in, size)
	if err != nil {
		return fmt.Errorf("read %s: %w: it is cut off or damaged", from.name, err)
	}
	if len(z.File) > maxEntries {
		return fmt.Errorf("read %s: it holds %d files: %w", from.name, len(z.File), ErrBomb)
	}
	var unpacked uint64
	for _, entry := range z.File {
		if !safeName(entryName(entry)) {
			return fmt.Errorf("read %s: %w: it was not made by a program that exports tables", from.name, ErrPath)
		}
		// The sum may run over, and the ratio of one may not.
		if unpacked += entry.UncompressedSize64; unpacked < entry.UncompressedSize64 ||
			tooMuch(unpacked, uint64(size)) || tooMuch(entry.UncompressedSize64, entry.CompressedSize64) {
			return fmt.Errorf("read %s: %w", from.name, ErrBomb)
		}
	}
	for _, entry := range z.File {
		if strings.EqualFold(entry.Name, "xl/workbook.xml") {
			return f.workbook(ctx, z, size, false, from, visit)
		}
	}
	entries := &zipped{files: f, plain: z, in: in, size: size}
	for i, entry := range z.File {
		name := entryName(entry)
		base := path.Base(name)
		if strings.HasSuffix(name, "/") || strings.HasPrefix(name, "__MACOSX/") || Idle(base) {
			continue
		}
		inner := source{name: from.name + "/" + name, base: base, modified: written(entry, from.modified)}
		if err := f.entry(ctx, entries, i, inner, visit); err != nil {
			return err
		}
	}
	return nil
}

// wallClocks is the zone of the clocks by which programs in China write zips.
var wallClocks = time.FixedZone("GMT+8", 8*60*60)

// written is when a file of a zip was last written; the zip itself was at zipped.
// Most zips, those of Windows among them, tell it by a wall clock of no zone, which
// the library takes for UTC: a file would be newer by hours than it is, and win
// over one that says more.
func written(entry *zip.File, zipped time.Time) time.Time {
	at := entry.Modified
	if !hasInstant(entry.Extra) {
		at = time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, wallClocks)
	}
	if at.Year() < 1990 || at.After(zipped) {
		return zipped // it has no time, or one of another clock
	}
	return at
}

// hasInstant says whether the extra fields of a zip's entry tell a time that
// stands for one moment: those of NTFS and of Unix (APPNOTE 4.5.5, 4.6.1).
func hasInstant(extra []byte) bool {
	for len(extra) >= 4 {
		id, size := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		if id == 0x000a || id == 0x000d || id == 0x5455 || id == 0x5855 {
			return true
		}
		extra = extra[min(len(extra), 4+size):]
	}
	return false
}

// entry visits the tables of one file of a zip.
func (f *Files) entry(ctx context.Context, entries *zipped, i int, from source, visit Visitor) error {
	kind := kindOf(from.base)
	switch kind {
	case "":
		return visit.left(from.name, errKind)
	case "zip":
		return fmt.Errorf("read %s: %w", from.name, errNested)
	}
	in, err := entries.open(i)
	if err != nil {
		return fmt.Errorf("read %s: %w", from.name, err)
	}
	defer in.Close()
	begin := bufio.NewReader(in)
	start, _ := begin.Peek(len(compound)) // what cannot be read is noticed below
	switch sealed := entries.plain.File[i].Flags&flagEncrypted != 0; {
	case kind == "csv":
		return f.csv(begin, from, visit)
	case string(start) == compound:
		return f.encryptedWorkbook(ctx, begin, int64(entries.plain.File[i].UncompressedSize64), from, visit)
	case sealed:
		return f.sealedEntry(ctx, begin, from, visit)
	}
	// A workbook is read at places.
	file, size, err := f.spill(begin, false)
	if err != nil {
		return fmt.Errorf("read %s: %w", from.name, plainError(err))
	}
	defer file.Close()
	z, err := zip.NewReader(file, size)
	if err != nil {
		return fmt.Errorf("read %s: it is no workbook (XLSX): %w", from.name, err)
	}
	return f.workbook(ctx, z, size, false, from, visit)
}

// spill copies what is read into a file that goes with the process.
func (f *Files) spill(in io.Reader, sealed bool) (scratch, int64, error) {
	file, err := f.scratch(sealed)
	if err != nil {
		return nil, 0, err
	}
	size, err := io.Copy(file, in)
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, size, nil
}

// nameless makes a file that nobody else can open and that ends with the
// process, however it ends.
func nameless(dir string) (*os.File, error) {
	file, err := os.CreateTemp(dir, "oneid-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// safeName says whether an entry's name stays inside of its zip. Nothing is
// ever written by that name; a zip that has another was made to harm. It is the
// name in UTF-8: in GBK a backslash may be the half of a character.
func safeName(name string) bool {
	return name != "" && !strings.ContainsAny(name, "\\\x00") && !drive.MatchString(name) && filepath.IsLocal(filepath.FromSlash(name))
}

// drive is how a name of Windows begins that is of another folder.
var drive = regexp.MustCompile(`^[A-Za-z]:`)

// entryName is a name in UTF-8: programs in China write it in GBK and say
// nothing. It is shown to people: what steers a terminal is none of it.
func entryName(entry *zip.File) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return '?'
		}
		return r
	}, decodedName(entry))
}

func decodedName(entry *zip.File) string {
	if !entry.NonUTF8 && utf8.ValidString(entry.Name) {
		return entry.Name
	}
	if text, err := simplifiedchinese.GB18030.NewDecoder().String(entry.Name); err == nil && !utf8.ValidString(entry.Name) {
		return text
	}
	return strings.ToValidUTF8(entry.Name, "?")
}

// zipped opens the files of a zip, encrypted or not. The standard library reads
// all but the encrypted; for those there is one library that knows both ciphers,
// and since it trusts what a zip says of itself and holds files whole, it is
// given only what it must do: the keys and the AES stream.
type zipped struct {
	files *Files
	plain *zip.Reader
	in    io.ReaderAt
	size  int64
	// sealed is the zip as the library sees it that knows AES; nil until it is
	// needed.
	sealed *cryptzip.Reader
}

const (
	flagEncrypted  = 1 << 0
	flagDescriptor = 1 << 3
	methodAES      = 99
)

// open opens a file; what is read of it has a bound.
func (z *zipped) open(i int) (in io.ReadCloser, err error) {
	// The library for AES trusts what a zip says of itself.
	defer func() {
		if recover() != nil {
			in, err = nil, errors.New("it is damaged")
		}
	}()
	entry := z.plain.File[i]
	switch {
	case entry.Flags&flagEncrypted == 0:
		in, err = entry.Open()
	case z.files.Password == "":
		return nil, fmt.Errorf("%w: its password is needed", ErrPassword)
	case entry.Method == methodAES:
		in, err = z.openAES(i)
	default:
		in, err = openOld(entry, z.files.Password)
	}
	if err != nil {
		return nil, err
	}
	return &bounded{ReadCloser: in, left: entry.UncompressedSize64}, nil
}

func (z *zipped) openAES(i int) (io.ReadCloser, error) {
	if z.sealed == nil {
		sealed, err := cryptzip.NewReader(z.in, z.size)
		if err != nil {
			return nil, err
		}
		z.sealed = sealed
	}
	if i >= len(z.sealed.File) {
		return nil, errors.New("it is damaged")
	}
	entry := z.sealed.File[i]
	entry.SetPassword(z.files.Password)
	entry.DeferAuth = true // it is checked at the end; else the library holds it all
	if entry.Method == zip.Deflate {
		registerToEnd()
		entry.Method = methodToEnd
	}
	in, err := entry.Open()
	if errors.Is(err, cryptzip.ErrPassword) || errors.Is(err, cryptzip.ErrDecryption) {
		return nil, fmt.Errorf("%w: the password is wrong", ErrPassword)
	}
	return in, err
}

// methodToEnd is Deflate that reads on to the end of what it was given: a
// sealed file says only there whether it was changed.
const methodToEnd = 0xfff0

var registerToEnd = sync.OnceFunc(func() {
	cryptzip.RegisterDecompressor(methodToEnd, func(in io.Reader) io.ReadCloser { return &toEnd{flate.NewReader(in), in} })
})

type toEnd struct {
	io.ReadCloser
	in io.Reader
}

func (r *toEnd) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		if _, rest := io.Copy(io.Discard, r.in); rest != nil {
			return n, fmt.Errorf("it was changed since it was sealed: %w", rest)
		}
	}
	return n, err
}

// openOld opens a file with the cipher that zips had from the beginning. The
// library decrypts; it would hold the whole file.
func openOld(entry *zip.File, password string) (io.ReadCloser, error) {
	raw, err := entry.OpenRaw()
	if err != nil {
		return nil, err
	}
	in := &decrypting{in: raw, keys: cryptzip.NewZipCrypto([]byte(password))}
	head := make([]byte, 12)
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, errors.New("it is cut off")
	}
	check := byte(entry.CRC32 >> 24)
	if entry.Flags&flagDescriptor != 0 {
		check = byte(entry.ModifiedTime >> 8) //nolint:staticcheck // the field itself is what the format checks
	}
	if head[11] != check {
		return nil, fmt.Errorf("%w: the password is wrong", ErrPassword)
	}
	out := &checked{ReadCloser: io.NopCloser(in), sum: crc32.NewIEEE(), want: entry.CRC32}
	switch entry.Method {
	case zip.Store:
	case zip.Deflate:
		out.ReadCloser = flate.NewReader(in)
	default:
		return nil, zip.ErrAlgorithm
	}
	return out, nil
}

type decrypting struct {
	in   io.Reader
	keys *cryptzip.ZipCrypto
}

func (d *decrypting) Read(p []byte) (int, error) {
	n, err := d.in.Read(p)
	copy(p, d.keys.Decrypt(p[:n]))
	return n, err
}

// checked compares a checksum at the end: a wrong password that passes the
// first check gives nonsense, one in 256.
type checked struct {
	io.ReadCloser
	sum interface {
		io.Writer
		Sum32() uint32
	}
	want uint32
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	_, _ = c.sum.Write(p[:n]) // a checksum takes all
	if err != nil && (!errors.Is(err, io.EOF) || c.sum.Sum32() != c.want) {
		err = fmt.Errorf("%w: the password is wrong, or the file is damaged", ErrPassword)
	}
	return n, err
}

// bounded ends with an error where more comes out than the zip's list says.
type bounded struct {
	io.ReadCloser
	left uint64
}

func (b *bounded) Read(p []byte) (n int, err error) {
	defer func() {
		if recover() != nil {
			n, err = 0, errors.New("it is damaged")
		}
	}()
	n, err = b.ReadCloser.Read(p)
	if uint64(n) > b.left {
		return 0, ErrBomb
	}
	b.left -= uint64(n)
	return n, err
}
