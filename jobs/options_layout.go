package jobs

// Records says which parts of a file are its records.
type Records struct {
	Path  string       `yaml:",scalar" doc:"json: the path of the array whose elements are the records; left out: the document itself. xml: the path of the elements that are the records, /Orders/Order; left out: the root element. edifact: the type of message, ORDERS or ORDERS:D:96A; left out: all. protobuf: the name of the message"`
	Kinds []RecordKind `yaml:",items" doc:"the kinds of records by name"`
}

// RecordKind is one of several kinds of records.
type RecordKind struct {
	Name   string  `yaml:",key"`
	Kind   string  `yaml:"kind" required:"true" doc:"what tells these records from others: fixed, csv, tsv, ndjson: the text at kind; json, xml: their path"`
	Fields []Field `yaml:"fields" required:"true" doc:"their fields by name"`
	Only   string  `yaml:"only" as:"expression" doc:"which of them count; the others are skipped, not rejected"`
}

// Section is what stands around the records of a file or of a block.
type Section struct {
	Kind   string  `yaml:"kind" doc:"fixed, csv, tsv, ndjson: the text at kind that tells it from records; left out: the first line, or the last"`
	Fields []Field `yaml:"fields" required:"true" doc:"its fields by name; each must be there unless it says required: false"`
}

// Block says what begins and ends a block of records.
type Block struct {
	Header  *Section `yaml:"header" required:"true" doc:"what begins a block; header.NAME in every expression and template about its records"`
	Trailer *Section `yaml:"trailer" doc:"what ends a block; trailer.NAME in check.block"`
}

// Total is a figure over the records of a file, and of each block; or over the rows of a written file, where a field is a column by its title.
type Total struct {
	Name   string `yaml:",key"`
	Sum    string `yaml:"sum" doc:"the field that is added up, an integer or a decimal; a record without it adds nothing. In send a field is a column, by its title, if there are columns"`
	Count  string `yaml:"count" doc:"the kind of records that is counted; records: all of them. In send: of rows"`
	Min    string `yaml:"min" doc:"the field whose least value it is: an integer, a decimal, a date, a time or a datetime; absent when no record has one"`
	Max    string `yaml:"max" doc:"the field whose greatest value it is; as min"`
	Hash   string `yaml:"hash" doc:"the field of a hash total: the digits of each value, as one number whatever stands between them, are added up"`
	Digits int    `yaml:"digits" doc:"hash: how many of its last digits count, up to 18; left out: all of it"`
	Modulo int64  `yaml:"modulo" doc:"hash: the remainder of a division by this, instead of digits"`
	Of     string `yaml:"of" doc:"the kind of records whose field it is, where records names kinds"`
}
