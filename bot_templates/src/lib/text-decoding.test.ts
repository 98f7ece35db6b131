import { describe, expect, test } from 'vitest';
import { decodeText, parseMediaType } from './text-decoding.ts';

test.each([
  ['text/plain', { type: 'text/plain', charset: undefined }],
  ['Text/HTML; Charset="ISO-8859-1"', { type: 'text/html', charset: 'ISO-8859-1' }],
  ['text/plain;format=flowed; charset=utf-16', { type: 'text/plain', charset: 'utf-16' }],
  ['', { type: '', charset: undefined }],
])('parseMediaType(%j)', (contentType, expected) => {
  expect(parseMediaType(contentType)).toEqual(expected);
});

describe('decodeText', () => {
  const bytes = (text: string, encoding: BufferEncoding = 'utf8') => Buffer.from(text, encoding);

  test.each([
    ['UTF-8', bytes('Fieber 39°'), undefined, 'Fieber 39°'],
    ['UTF-8 with a mark', bytes('\ufeffFieber'), undefined, 'Fieber'],
    ['Latin-1 as declared', bytes('Übelkeit', 'latin1'), 'iso-8859-1', 'Übelkeit'],
    ['Latin-1 undeclared', bytes('Übelkeit', 'latin1'), undefined, 'Übelkeit'],
    ['UTF-16 as declared', bytes('Übelkeit', 'utf16le'), 'utf-16le', 'Übelkeit'],
    ['UTF-16 by its mark', bytes('\ufeffÜbelkeit', 'utf16le'), undefined, 'Übelkeit'],
    [
      'XML by its declaration',
      bytes('<?xml version="1.0" encoding="ISO-8859-1"?><a>Ü</a>', 'latin1'),
      undefined,
      '<?xml version="1.0" encoding="ISO-8859-1"?><a>Ü</a>',
    ],
    ['HTML by its meta', bytes('<meta charset="iso-8859-1">Ü', 'latin1'), undefined, '<meta charset="iso-8859-1">Ü'],
    ['nothing', bytes(''), undefined, ''],
  ])('reads %s', (_name, content, charset, text) => {
    expect(decodeText(content, charset)).toEqual({ text });
  });

  test.each([
    ['an unknown charset', bytes('abc'), 'klingon', 'its charset klingon is not known'],
    ['a PDF', bytes('%PDF-1.4 text'), undefined, 'it is a PDF, whatever its content type says'],
    ['RTF', bytes('{\\rtf1 text'), 'utf-8', 'it is RTF, whatever its content type says'],
    [
      'an image',
      Buffer.from('89504e470d0a1a0a0000000d4948445200000001000000010802', 'hex'),
      undefined,
      'it is binary, whatever its content type says',
    ],
    [
      'UTF-16 taken for UTF-8',
      bytes('some text here', 'utf16le'),
      'utf-8',
      'it is binary, whatever its content type says',
    ],
  ])('refuses %s', (_name, content, charset, reason) => {
    expect(decodeText(content, charset)).toEqual({ reason });
  });
});
