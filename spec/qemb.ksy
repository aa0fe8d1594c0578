# A reading of qemb.md in the language of Kaitai Struct (https://kaitai.io): informative; where the two differ, qemb.md is
# right. CC-BY-4.0, as everything in this folder.
#
# Opening a file reads the header and the section table; a section is read when its `body` is asked for, one in frames when
# its `frame_table` is, and then frame by frame. Fields have the names, order and sizes of the tables in qemb.md.
#
# Instances with an `-error` are rules: named after their requirement, in the order of the checks (QEMB-ORD-01), and
# `-error` is the code that a reader owes where one is false. `is_valid` is all rules of a type: the header, the section
# entries and the descriptor are refused without it, `TRNS` and `SUBW` are to be asked. What no expression says is left to
# the program: CRCs, the presence of sections, what is inside zstd frames, and the contents of arrays (checks 5 to 8).
meta:
  id: qemb
  title: Quantized embeddings
  file-extension: qemb
  license: CC-BY-4.0
  ks-version: "0.11"
  endian: le
doc: |
  A vocabulary and its vectors: tokens, and for each of them a row of `dim` numbers, quantized or exact.
  Integers are little-endian (QEMB-CON-01) and may need 64 bits (QEMB-CON-03): a language whose numbers are doubles must
  read `u8` in another way to compare values of 2^53 and more, or to give `transform.seed`.
doc-ref: qemb.md
seq:
  - id: header
    type: header
    valid:
      expr: _.is_valid
  - id: sections
    type: section_entry(_index)
    size: 40
    repeat: expr
    repeat-expr: header.section_count
    valid:
      expr: _.is_valid
    doc-ref: "qemb.md, 3. Section table"
instances:
  tab_09:
    value: "(sections.size == 0 ? header.table_end : sections.last.end) == header.file_size"
    doc: QEMB-TAB-09. The file ends where its last section ends.
    -error: invalid.trailing_bytes
  up_to_quantization:
    pos: 64
    type: section_entry(_index)
    size: 40
    repeat: until
    repeat-until: _.name == "QUAN" or _.index + 1 >= header.section_count
    doc: Entries up to that of `QUAN`, which every file has (QEMB-SEC-01), in any place.
  quantization:
    pos: up_to_quantization.last.offset
    size: 28
    type: quantization
    valid:
      expr: _.is_valid
    doc: The descriptor, on which the elements of other sections depend.
types:
  header:
    doc-ref: "qemb.md, 2. Header"
    seq:
      - id: magic
        contents: [0x89, QEMB, 0x0d, 0x0a, 0x1a]
        doc: QEMB-HDR-01
        -error: malformed.magic
      - id: major
        type: u2
        valid: 1
        doc: QEMB-HDR-03
        -error: unsupported.version
      - id: minor
        type: u2
        doc: Any is accepted (QEMB-HDR-03).
      - id: section_count
        type: u4
      - id: required_features
        type: u4
        doc: Bit 0, byte tokens, is the only one defined (QEMB-HDR-05).
      - id: optional_features
        type: u4
        doc: Bits that are not known are ignored (QEMB-HDR-05).
      - id: rows
        type: u8
        doc: Vectors.
      - id: tokens
        type: u8
        doc: Token i names row i; rows past the last token are subword buckets.
      - id: file_size
        type: u8
      - id: dim
        type: u4
        doc: Values in a vector.
      - id: table_offset
        type: u4
      - id: table_crc
        type: u4
        doc: CRC-32C of the section table (QEMB-HDR-12).
      - id: header_crc
        type: u4
        doc: CRC-32C of the 60 bytes before (QEMB-HDR-04).
    instances:
      table_end:
        value: 64 + 40 * section_count
      hdr_05:
        value: required_features <= 1
        doc: QEMB-HDR-05. Every required feature is known.
        -error: unsupported.feature
      hdr_06:
        value: table_offset == 64
        doc: QEMB-HDR-06
        -error: invalid.table_offset
      hdr_07:
        value: section_count <= 256
        doc: QEMB-HDR-07
        -error: limit.sections
      hdr_08:
        value: dim >= 1 and dim <= 0x1000000
        doc: QEMB-HDR-08
        -error: invalid.dim
      hdr_09:
        value: rows < 0x20000000000000 and tokens <= rows
        doc: QEMB-HDR-09
        -error: invalid.counts
      hdr_10:
        value: file_size < 0x20000000000000 and file_size >= table_end
        doc: QEMB-HDR-10
        -error: invalid.file_size
      hdr_11_at_least:
        value: _io.size >= file_size
        doc: QEMB-HDR-11
        -error: malformed.truncated
      hdr_11_at_most:
        value: _io.size <= file_size
        doc: QEMB-HDR-11
        -error: invalid.trailing_bytes
      is_valid:
        value: >-
          hdr_05 and hdr_06 and hdr_07 and hdr_08 and hdr_09 and hdr_10 and hdr_11_at_least and hdr_11_at_most
  section_entry:
    doc-ref: "qemb.md, 3. Section table"
    params:
      - id: index
        type: u4
        doc: Place in the table, from 0.
    seq:
      - id: kind
        size: 4
        valid:
          expr: >-
            (_[0] | 0x20) >= 0x61 and (_[0] | 0x20) <= 0x7a
            and ((_[1] >= 0x30 and _[1] <= 0x39) or ((_[1] | 0x20) >= 0x61 and (_[1] | 0x20) <= 0x7a))
            and ((_[2] >= 0x30 and _[2] <= 0x39) or ((_[2] | 0x20) >= 0x61 and (_[2] | 0x20) <= 0x7a))
            and ((_[3] >= 0x30 and _[3] <= 0x39) or ((_[3] | 0x20) >= 0x61 and (_[3] | 0x20) <= 0x7a))
        doc: QEMB-TAB-01. Four ASCII letters or digits, the first a letter.
        -error: invalid.section_kind
      - id: flags
        type: u2
        doc: Bit 0 critical, bit 1 copy-safe (QEMB-TAB-02).
      - id: codec
        type: u2
        doc: 0 raw, 1 zstd frames (QEMB-TAB-04).
      - id: offset
        type: u8
        doc: Where the section starts in the file.
      - id: stored_size
        type: u8
        doc: Bytes in the file.
      - id: raw_size
        type: u8
        doc: Bytes once decoded.
      - id: frame_size
        type: u4
        doc: Raw bytes in every frame but the last; raw sections have 0.
      - id: crc
        type: u4
        doc: CRC-32C of the stored bytes (QEMB-TAB-11).
    instances:
      name:
        value: kind.to_s("ISO-8859-1")
      critical_kind:
        value: >-
          name == "QUAN" or name == "TRNS" or name == "LEVL" or name == "SCAL" or name == "OFFS" or name == "CODE"
          or name == "HIG0" or name == "HIG1" or name == "HIG2" or name == "HIG3" or name == "EXCP" or name == "TOKO"
          or name == "TOKB"
      ancillary_kind:
        value: name == "META" or name == "INDX" or name == "NORM" or name == "CNTS" or name == "SUBW"
      known:
        value: critical_kind or ancillary_kind
        doc: A kind of this specification.
      structure:
        value: name == "QUAN" or name == "TRNS" or name == "SUBW"
      framed:
        value: known and codec == 1
      frames:
        value: "raw_size / frame_size + (raw_size % frame_size == 0 ? 0 : 1)"
        doc: n, the number of frames (section 4).
        if: framed
      previous_end:
        value: "index == 0 ? _root.header.table_end : _root.sections[index - 1].end"
      end:
        value: offset + stored_size
      offset_low:
        pos: 8
        type: u1
        doc: The low byte of `offset`, exact where 64-bit integers are not.
      up_to_first_of_kind:
        io: _root._io
        pos: 64
        type: section_entry(_index)
        size: 40
        repeat: until
        repeat-until: _.name == name
      tab_02_flags:
        value: "critical_kind ? flags == 1 : name == \"META\" ? flags == 2 : ancillary_kind ? flags == 0 : flags <= 3"
        doc: QEMB-TAB-02. The flags of the kind, or no reserved ones.
        -error: invalid.section_flags
      tab_02_critical:
        value: known or flags & 1 == 0
        doc: QEMB-TAB-02. No critical section of an unknown kind.
        -error: unsupported.critical_section
      tab_03:
        value: up_to_first_of_kind.size == index + 1
        doc: QEMB-TAB-03. No kind stands twice.
        -error: invalid.duplicate_section
      tab_04_codec:
        value: not known or codec <= 1
        doc: QEMB-TAB-04
        -error: unsupported.codec
      tab_04_raw:
        value: not known or framed or (raw_size == stored_size and frame_size == 0)
        doc: QEMB-TAB-04
        -error: invalid.section_size
      frm_01:
        value: not framed or (frame_size >= 1 and frame_size <= 0x1000000)
        doc: QEMB-FRM-01
        -error: invalid.frame_size
      frm_02:
        value: not framed or (raw_size < 0x20000000000000 and stored_size >= 16 * frames)
        doc: QEMB-FRM-02
        -error: invalid.section_size
      tab_05:
        value: offset_low % 64 == 0
        doc: QEMB-TAB-05. `offset` is a multiple of 64.
        -error: invalid.alignment
      tab_06:
        value: offset >= previous_end
        doc: QEMB-TAB-06
        -error: invalid.overlap
      tab_07:
        value: offset <= _root.header.file_size and stored_size <= _root.header.file_size - offset
        doc: QEMB-TAB-07, without a sum that could wrap (QEMB-CON-03).
        -error: invalid.section_past_end
      tab_08:
        value: offset == (previous_end + 63) / 64 * 64
        doc: QEMB-TAB-08
        -error: invalid.hole
      is_valid:
        value: >-
          tab_02_flags and tab_02_critical and tab_03 and tab_04_codec and tab_04_raw and frm_01 and frm_02
          and tab_05 and tab_06 and tab_07 and tab_08
      frm_06:
        value: not structure or codec == 0
        doc: QEMB-FRM-06, asked for after the whole table.
        -error: invalid.section_codec
        -group: structure
      sec_03:
        value: "not structure or raw_size == (name == \"QUAN\" ? 28 : 16)"
        doc: QEMB-SEC-03, for structures.
        -error: invalid.section_size
        -group: structure
      body:
        io: _root._io
        pos: offset
        size: stored_size
        type:
          switch-on: name
          cases:
            '"QUAN"': quantization
            '"TRNS"': transform
            '"LEVL"': levels
            '"SCAL"': float_array(_root.quantization.scale_type)
            '"OFFS"': float_array(_root.quantization.offset_type)
            '"CODE"': code_rows(_root.quantization.row_stride)
            '"HIG0"': code_rows(_root.quantization.codes)
            '"HIG1"': code_rows(_root.quantization.codes)
            '"HIG2"': code_rows(_root.quantization.codes)
            '"HIG3"': code_rows(_root.quantization.codes)
            '"EXCP"': exceptions
            '"TOKO"': token_offsets
            '"INDX"': token_index
            '"NORM"': norms
            '"CNTS"': counts
            '"SUBW"': subword
        if: not framed
        doc: |
          What a raw section holds. `META` (UTF-8 JSON, QEMB-MET-02), `TOKB` (the tokens, one after the other) and kinds
          that are not known are bytes.
      frame_table:
        io: _root._io
        pos: offset + stored_size - 16 * frames
        type: frame_entry(offset)
        repeat: expr
        repeat-expr: frames
        if: framed
  frame_entry:
    doc-ref: "qemb.md, 4. Zstd frames"
    params:
      - id: section_offset
        type: u8
    seq:
      - id: offset
        type: u8
        doc: Where the frame starts, from the start of the section (QEMB-FRM-03).
      - id: size
        type: u4
        doc: Bytes stored.
      - id: crc
        type: u4
        doc: CRC-32C of the stored bytes (QEMB-FRM-04).
    instances:
      stored:
        io: _root._io
        pos: section_offset + offset
        size: size
        doc: |
          Raw bytes where there are `frame_size` of them (in the last frame, as many as are left); otherwise one Zstandard
          frame (QEMB-FRM-05).
  quantization:
    doc-ref: "qemb.md, 6.1 QUAN: quantization descriptor"
    seq:
      - id: level
        type: u1
        enum: level
      - id: bits
        type: u1
        doc: Bits of a code.
      - id: low_bits
        type: u1
        doc: Bits of a code kept in `CODE`; the others are in `HIG0` to `HIG3`.
      - id: reserved
        contents: [0]
        doc: QEMB-QNT-01
        -error: malformed.structure
      - id: scale_group
        type: u1
        enum: group
      - id: scale_type
        type: u1
        enum: float_type
      - id: offset_group
        type: u1
        enum: group
      - id: offset_type
        type: u1
        enum: float_type
      - id: scale_block
        type: u4
        doc: Columns that share a scale where `scale_group` is block.
      - id: offset_block
        type: u4
        doc: Columns that share an offset where `offset_group` is block.
      - id: row_stride
        type: u4
        doc: Bytes from one row of `CODE` to the next (QEMB-PCK-01).
      - id: parameters
        size: 8
        type:
          switch-on: level
          cases:
            'level::linear': linear_parameters
            'level::codebook': codebook_parameters
            'level::product': product_parameters
            'level::decimal': decimal_parameters
            'level::ieee': ieee_parameters
    instances:
      linear:
        value: parameters.as<linear_parameters>
        if: level == level::linear
      codebook:
        value: parameters.as<codebook_parameters>
        if: level == level::codebook
      product:
        value: parameters.as<product_parameters>
        if: level == level::product
      decimal:
        value: parameters.as<decimal_parameters>
        if: level == level::decimal
      ieee:
        value: parameters.as<ieee_parameters>
        if: level == level::ieee
      codes:
        value: >-
          level == level::product
          ? (_root.header.dim + product.sub_dim - 1) / product.sub_dim
          : _root.header.dim
        doc: c, the codes of a row (QEMB-QNT-08).
      qnt_01:
        value: level.to_i <= 4
        doc: QEMB-QNT-01
        -error: unsupported.level
      qnt_02:
        value: >-
          bits >= 1
          and bits <= (level == level::codebook ? 8 : level == level::decimal or level == level::ieee ? 32 : 16)
        doc: QEMB-QNT-02
        -error: invalid.quantization
      qnt_03:
        value: low_bits <= bits
        doc: QEMB-QNT-03
        -error: invalid.quantization
      qnt_04:
        value: >-
          scale_group.to_i <= 4 and offset_group.to_i <= 4
          and (level == level::product
            or (level.to_i <= 1 ? scale_group != group::none : scale_group == group::none and offset_group == group::none))
        doc: QEMB-QNT-04
        -error: invalid.quantization
      qnt_05:
        value: >-
          scale_type.to_i <= 2 and offset_type.to_i <= 2
          and (scale_type == float_type::none) == (scale_group == group::none)
          and (offset_type == float_type::none) == (offset_group == group::none)
        doc: QEMB-QNT-05
        -error: invalid.quantization
      qnt_06:
        value: >-
          (scale_group == group::block ? scale_block >= 1 and scale_block <= _root.header.dim : scale_block == 0)
          and (offset_group == group::block ? offset_block >= 1 and offset_block <= _root.header.dim : offset_block == 0)
        doc: QEMB-QNT-06
        -error: invalid.quantization
      qnt_07_linear:
        value: >-
          level != level::linear
          or (linear.step >= 1
            and -1.0 * linear.step * (1 << (bits - 1)) - linear.bias >= -0x1000000
            and -1.0 * linear.step * (1 << (bits - 1)) - linear.bias <= 0x1000000
            and 1.0 * linear.step * ((1 << (bits - 1)) - 1) - linear.bias >= -0x1000000
            and 1.0 * linear.step * ((1 << (bits - 1)) - 1) - linear.bias <= 0x1000000)
        doc: |
          QEMB-QNT-07. The lowest and the highest level are within -2^24 to 2^24; 1.0 makes the products doubles, which hold
          them exactly where integers have 32 bits.
        -error: invalid.quantization
      qnt_07_codebook:
        value: >-
          level != level::codebook
          or (codebook.window >= bits and codebook.window <= 16
            and (codebook.window == bits
              ? codebook.shift == 0
              : codebook.shift >= 1 and codebook.shift <= bits and codebook.shift <= codebook.window - bits))
        doc: QEMB-QNT-07
        -error: invalid.quantization
      qnt_07_product:
        value: level != level::product or (product.sub_dim >= 1 and product.sub_dim <= _root.header.dim)
        doc: QEMB-QNT-07
        -error: invalid.quantization
      qnt_07_decimal:
        value: >-
          level != level::decimal
          or (decimal.digits >= 1 and decimal.digits <= 9 and decimal.exponent_min >= -60
            and decimal.exponent_max >= decimal.exponent_min and decimal.exponent_max <= 38
            and 2 * decimal.greatest_rank < 1.0 * (1 << bits / 2) * (1 << (bits - bits / 2)))
        doc: QEMB-QNT-07
        -error: invalid.quantization
      qnt_07_ieee:
        value: "level != level::ieee or (ieee.format <= 2 and bits == (ieee.format == 0 ? 32 : 16))"
        doc: QEMB-QNT-07
        -error: invalid.quantization
      qnt_08:
        value: low_bits == 0 or row_stride >= (codes * low_bits + 7) / 8
        doc: QEMB-QNT-08
        -error: invalid.quantization
      qnt_09:
        value: low_bits != 0 or row_stride == 0
        doc: QEMB-QNT-09
        -error: invalid.quantization
      is_valid:
        value: >-
          qnt_01 and qnt_02 and qnt_03 and qnt_04 and qnt_05 and qnt_06 and qnt_07_linear and qnt_07_codebook
          and qnt_07_product and qnt_07_decimal and qnt_07_ieee and qnt_08 and qnt_09
  linear_parameters:
    doc-ref: "qemb.md, QEMB-LIN-01"
    seq:
      - id: step
        type: s4
        doc: Distance between neighbouring levels.
      - id: bias
        type: s4
        doc: Subtracted from every level.
  codebook_parameters:
    doc-ref: "qemb.md, QEMB-COD-01"
    seq:
      - id: window
        type: u1
        doc: Bits of the state; more than `bits` for a trellis.
      - id: shift
        type: u1
        doc: Bits of each code that the state remembers.
      - id: reserved
        contents: [0, 0, 0, 0, 0, 0]
        doc: QEMB-QNT-01
        -error: malformed.structure
  product_parameters:
    doc-ref: "qemb.md, QEMB-PRO-01"
    seq:
      - id: sub_dim
        type: u4
        doc: Values in a sub-vector.
      - id: reserved
        contents: [0, 0, 0, 0]
        doc: QEMB-QNT-01
        -error: malformed.structure
  decimal_parameters:
    doc-ref: "qemb.md, 6.3.4 Decimal"
    seq:
      - id: digits
        type: u1
        doc: Significant digits.
      - id: exponent_min
        type: s1
        doc: The smallest power of ten.
      - id: exponent_max
        type: s1
        doc: The largest power of ten.
      - id: reserved
        contents: [0, 0, 0, 0, 0]
        doc: QEMB-QNT-01
        -error: malformed.structure
    instances:
      power:
        value: "[1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000][digits]"
        doc: 10^digits.
      greatest_rank:
        value: power + (exponent_max - exponent_min) * 9.0 * (power / 10) - 1
        doc: R, the rank of the greatest magnitude (6.3.4), as a double.
  ieee_parameters:
    doc-ref: "qemb.md, QEMB-IEE-01"
    seq:
      - id: format
        type: u1
        doc: 0 float32, 1 float16, 2 bfloat16.
      - id: reserved
        contents: [0, 0, 0, 0, 0, 0, 0]
        doc: QEMB-QNT-01
        -error: malformed.structure
  transform:
    doc-ref: "qemb.md, 6.5 TRNS: transform"
    seq:
      - id: kind
        type: u1
        doc: 1 randomized Hadamard.
      - id: generator
        type: u1
        doc: 1 SplitMix64 (QEMB-TRN-03).
      - id: rounds
        type: u1
      - id: reserved
        contents: [0, 0, 0, 0, 0]
        doc: QEMB-TRN-01
        -error: malformed.structure
      - id: seed
        type: u8
        doc: First state of the generator.
    instances:
      trn_01_kind:
        value: kind == 1 and generator == 1
        doc: QEMB-TRN-01
        -error: unsupported.transform
      trn_01_rounds:
        value: rounds >= 1 and rounds <= 8
        doc: QEMB-TRN-01
        -error: invalid.transform
      is_valid:
        value: trn_01_kind and trn_01_rounds
  subword:
    doc-ref: "qemb.md, 7.4 SUBW: subwords"
    seq:
      - id: hash
        type: u1
        doc: 1 fastText.
      - id: reserved
        contents: [0, 0, 0]
        doc: QEMB-SUB-02
        -error: malformed.structure
      - id: min_n
        type: u4
        doc: Characters in the shortest n-gram.
      - id: max_n
        type: u4
        doc: Characters in the longest.
      - id: buckets
        type: u4
        doc: Rows past the tokens.
    instances:
      sub_02_hash:
        value: hash == 1
        doc: QEMB-SUB-02
        -error: unsupported.subword
      sub_02_lengths:
        value: min_n >= 1 and min_n <= max_n
        doc: QEMB-SUB-02
        -error: invalid.subword
      sub_01:
        value: _root.header.rows - _root.header.tokens == buckets
        doc: QEMB-SUB-01
        -error: invalid.counts
      is_valid:
        value: sub_02_hash and sub_02_lengths and sub_01
  levels:
    doc: One int8 for each state of a codebook (6.3.2), or a codebook of sub-vectors for each code of a row (QEMB-PRO-01).
    instances:
      of_states:
        pos: 0
        type: s1
        repeat: eos
        if: _root.quantization.level == level::codebook
      of_codes:
        pos: 0
        type: product_levels
        repeat: expr
        repeat-expr: _root.quantization.codes
        if: _root.quantization.level == level::product
  product_levels:
    seq:
      - id: sub_vectors
        type: sub_vector
        repeat: expr
        repeat-expr: 1 << _root.quantization.bits
  sub_vector:
    seq:
      - id: values
        type: f4
        repeat: expr
        repeat-expr: _root.quantization.product.sub_dim
  float_array:
    doc: Scales (QEMB-SCL-02) or offsets (QEMB-SCL-03), in the order of QEMB-SCL-01. A float16 is given by its bits.
    params:
      - id: element
        type: u1
        enum: float_type
    seq:
      - id: elements
        type:
          switch-on: element
          cases:
            'float_type::float32': f4
            'float_type::float16': u2
        repeat: eos
  code_rows:
    doc: |
      Codes packed as QEMB-PCK-01 says, or one byte of each code of a row (QEMB-PCK-03). Row i is at i x `row_size`.
    params:
      - id: row_size
        type: u4
    seq:
      - id: rows
        size: row_size
        repeat: expr
        repeat-expr: _root.header.rows
  exceptions:
    doc-ref: "qemb.md, QEMB-DEC-02"
    seq:
      - id: entries
        type: exception_entry
        repeat: eos
  exception_entry:
    doc-ref: "qemb.md, QEMB-DEC-02"
    seq:
      - id: position
        type: u8
        doc: row x dim + column
      - id: bits
        type: u4
        doc: The value, as the bits of a float32.
  token_offsets:
    doc: |
      Token i is the bytes of `TOKB` from offset i to offset i + 1 (7.1, QEMB-TOK-01). Offsets are uint64 where `TOKB` has
      2^32 raw bytes or more, which shows in the size of this section.
    seq:
      - id: elements
        type:
          switch-on: _io.size / (_root.header.tokens + 1)
          cases:
            4: u4
            8: u8
        repeat: expr
        repeat-expr: _root.header.tokens + 1
  token_index:
    doc: A hash table of row numbers; an empty slot is FFFFFFFF (7.2, QEMB-IDX-02).
    seq:
      - id: elements
        type: u4
        repeat: eos
  norms:
    doc: Euclidean norms of the decoded rows (QEMB-NRM-01).
    seq:
      - id: elements
        type: f4
        repeat: eos
  counts:
    doc: How often each token occurs in the training text (7.3).
    seq:
      - id: elements
        type: u8
        repeat: eos
enums:
  level:
    0: linear
    1: codebook
    2: product
    3: decimal
    4: ieee
  group:
    0: none
    1: table
    2: row
    3: column
    4: block
  float_type:
    0: none
    1: float32
    2: float16
