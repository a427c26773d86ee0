package formats_test

import (
	"errors"
	"iter"
	"testing"

	"waybill/formats"
	"waybill/formats/unpack"
)

func TestCorpus(t *testing.T) {
	t.Parallel()
	formats.Corpus(t, func(b formats.Blob, kinds []string) iter.Seq2[formats.Blob, error] {
		return func(yield func(formats.Blob, error) bool) {
			u, problems := unpack.New(kinds, formats.Limits{}, unpack.Keys{})
			if len(problems) > 0 {
				yield(formats.Blob{}, errors.New(problems[0].String()))
				return
			}
			if u.Archive() {
				u.Members(b, unpack.Staging{})(yield)
				return
			}
			inner, end, err := u.Open(b, unpack.Staging{})
			defer end()
			yield(inner, err)
		}
	})
}
