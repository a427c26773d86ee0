package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"waybill/formats"
)

// packedZeros is the deflate stream of head and of so many MiB of zeros behind it, and the checksum of what it holds. One MiB is packed and
// stands in it again and again, which needs no time.
func packedZeros(t testing.TB, head []byte, mib int) (packed []byte, sum uint32) {
	t.Helper()
	deflated := func(text []byte) []byte { // ends at a byte, and does not look back
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, flate.BestCompression)
		must(t, err)
		_, err = w.Write(text)
		must(t, err)
		must(t, w.Flush())
		return b.Bytes()
	}
	zeros := make([]byte, 1<<20)
	sum = crc32.ChecksumIEEE(head)
	for range mib {
		sum = crc32.Update(sum, crc32.IEEETable, zeros)
	}
	packed = append(deflated(head), bytes.Repeat(deflated(zeros), mib)...)
	return append(packed, 1, 0, 0, 0xff, 0xff), sum // a last block without anything
}

// gzipZeros is a gzip file of head and of so many MiB of zeros behind it.
func gzipZeros(t testing.TB, head []byte, mib int) []byte {
	t.Helper()
	packed, sum := packedZeros(t, head, mib)
	data := append([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"), packed...)
	data = binary.LittleEndian.AppendUint32(data, sum)
	return binary.LittleEndian.AppendUint32(data, uint32(len(head)+mib<<20))
}

// fileOfZeros adds an entry of so many MiB of zeros to a zip archive.
func fileOfZeros(t testing.TB, name string, mib int) func(z *zip.Writer) error {
	t.Helper()
	packed, sum := packedZeros(t, nil, mib)
	return raw(zip.FileHeader{Name: name, Method: zip.Deflate, CRC32: sum, CompressedSize64: uint64(len(packed)), UncompressedSize64: uint64(mib) << 20}, packed)
}

func TestBombsOfTestsAreWhole(t *testing.T) {
	t.Parallel()
	l := formats.Limits{MaxRatio: 100_000_000}
	if n, err := unpackedAll(gzipZeros(t, []byte("head"), 3), []string{"gzip"}, l); n != 4+3<<20 || err != nil {
		t.Errorf("gzip: %d bytes, %v", n, err)
	}
	if got, err := takenApart(zipWith(t, fileOfZeros(t, "a", 2)), []string{"zip"}, l); len(got) != 1 || err != nil {
		t.Errorf("zip: %d members, %v", len(got), err)
	}
}

// tarHead is the header of one member.
func tarHead(t testing.TB, h tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, tar.NewWriter(&b).WriteHeader(&h))
	return b.Bytes()
}
