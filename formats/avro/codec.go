package avro

import (
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"waybill/formats/fault"
)

// A codec unpacks the blocks of a file. Each is unpacked as a whole: max_part bounds it before and after that, max_unpacked and
// max_ratio bound all of them together.
type codec struct {
	limits  Limits
	unpacks func(packed []byte) error // into buf; nil: blocks are not packed
	close   func()
	buf     []byte
	packed  int64 // of all blocks
	plain   int64
}

var (
	errOver   = errors.New("more than max_part")
	errWindow = errors.New("a window of more than max_part")
	errAfter  = errors.New("something stands behind what was packed")
	errSum    = errors.New("its checksum is wrong")
)

// newCodec makes the codec with the name that a header says.
func newCodec(name string, l Limits) (*codec, error) {
	c := &codec{limits: l, close: func() {}}
	switch name {
	case "", "null":
	case "deflate":
		z := flate.NewReader(bytes.NewReader(nil))
		c.unpacks = func(packed []byte) error {
			r := bytes.NewReader(packed)
			return errors.Join(z.(flate.Resetter).Reset(r, nil), c.drain(z, r))
		}
	case "bzip2":
		c.unpacks = func(packed []byte) error {
			r := bytes.NewReader(packed)
			return c.drain(bzip2.NewReader(r), r)
		}
	case "snappy":
		c.unpacks = c.snappy
	case "zstandard":
		most := min(max(uint64(l.MaxPart), zstd.MinWindowSize), zstd.MaxWindowSize)
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(most), zstd.WithDecoderMaxWindow(most))
		if err != nil {
			return nil, err
		}
		c.close = z.Close
		c.unpacks = func(packed []byte) (err error) {
			c.buf, err = z.DecodeAll(packed, c.buf[:0])
			switch {
			case errors.Is(err, zstd.ErrWindowSizeExceeded):
				return errWindow
			case errors.Is(err, zstd.ErrDecoderSizeExceeded), len(c.buf) > int(l.MaxPart):
				return errOver
			}
			return err
		}
	default:
		return nil, fmt.Errorf("its blocks are packed with %q: null, deflate, snappy, zstandard and bzip2 are read", fault.Cut(name))
	}
	return c, nil
}

// snappy unpacks what stands before a checksum of what comes out.
func (c *codec) snappy(packed []byte) error {
	if len(packed) < crc32.Size {
		return io.ErrUnexpectedEOF
	}
	body, sum := packed[:len(packed)-crc32.Size], packed[len(packed)-crc32.Size:]
	n, err := snappy.DecodedLen(body)
	switch {
	case err != nil:
		return err
	case n > int(c.limits.MaxPart):
		return errOver
	}
	if c.buf, err = snappy.Decode(c.buf[:cap(c.buf)], body); err != nil {
		return err
	}
	if crc32.ChecksumIEEE(c.buf) != binary.BigEndian.Uint32(sum) {
		return errSum
	}
	return nil
}

// drain reads what a packing gives; from is what it reads.
func (c *codec) drain(r io.Reader, from *bytes.Reader) error {
	most := int(c.limits.MaxPart)
	c.buf = c.buf[:0]
	for {
		if len(c.buf) == cap(c.buf) { // append would take a quarter more at a time, six times as much in all
			size := max(2*len(c.buf), 64<<10)
			if size >= most {
				size = most + 1
			}
			c.buf = append(make([]byte, 0, size), c.buf...)
		}
		n, err := r.Read(c.buf[len(c.buf):min(cap(c.buf), most+1)])
		c.buf = c.buf[:len(c.buf)+n]
		switch {
		case len(c.buf) > most:
			return errOver
		case errors.Is(err, io.EOF) && from.Len() > 0:
			return errAfter
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// unpack returns what a block holds, valid until the next one.
func (c *codec) unpack(packed []byte) ([]byte, *failure) {
	data := packed
	if c.unpacks != nil {
		err := c.unpacks(packed)
		if errors.Is(err, errOver) {
			return nil, &failure{limit: "max_part", reason: fmt.Sprintf("it unpacks to more than max_part, %s", c.limits.MaxPart)}
		}
		if errors.Is(err, errWindow) {
			return nil, &failure{limit: "max_part", reason: fmt.Sprintf("to unpack it takes a window of more than max_part, %s", c.limits.MaxPart)}
		}
		if err != nil {
			return nil, &failure{reason: fmt.Sprintf("it cannot be unpacked: %s", err)}
		}
		data = c.buf
	}
	c.packed += int64(len(packed))
	c.plain += int64(len(data))
	switch ratio := int64(c.limits.MaxRatio); {
	case c.plain > int64(c.limits.MaxUnpacked):
		return nil, &failure{limit: "max_unpacked", reason: fmt.Sprintf("the blocks up to it unpack to more than max_unpacked, %s", c.limits.MaxUnpacked)}
	case c.plain > fault.RatioFrom && c.plain/ratio > c.packed:
		return nil, &failure{limit: "max_ratio", reason: fmt.Sprintf("the blocks up to it unpack to more than %d times their size (max_ratio)", ratio)}
	}
	return data, nil
}
