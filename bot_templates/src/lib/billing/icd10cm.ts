import { Buffer } from 'node:buffer';
import { inflateRawSync } from 'node:zlib';
import table from '../../data/icd10cm.json';

/** `http://hl7.org/fhir/sid/icd-10-cm`, and the same as an OID. */
export const ICD10CM = 'http://hl7.org/fhir/sid/icd-10-cm';
export const ICD10CM_SYSTEMS: readonly string[] = [ICD10CM, 'urn:oid:2.16.840.1.113883.6.90'];

/** Which release the table is of. */
export const ICD10CM_RELEASE: string = table.release;

/** A code that can be billed. */
export interface Leaf {
  kind: 'leaf';
  /** In capitals, with its dot. */
  code: string;
  description: string;
  /** What else the classification says it includes. */
  terms: readonly string[];
  /** Descriptions and inclusion terms of the codes above it, the nearest first. */
  above: readonly string[];
  /** The description of the three characters that it begins with. */
  category: string;
}

/** What the table says of a code. */
export type Lookup =
  /** A leaf: only these can be billed. */
  | Leaf
  /** A code of which only those below can be billed. */
  | { kind: 'category'; code: string; description: string }
  | { kind: 'unknown' };

/** A code as it is written, the dot left out, in capitals: three to seven letters and digits. */
const FORM = /^[A-Z][0-9A-Z]{2}[0-9A-Z]{0,4}$/;

/** Length of a code with an ending; X fills the gap before it. */
const FULL = 7;

/**
 * Looks a code up, written with or without its dot, in capitals or not.
 *
 * Nothing is guessed: a code that lacks a placeholder X, or has one too many, is unknown.
 */
export function lookUp(written: string): Lookup {
  const code = plainCode(written);
  if (code === undefined) {
    return { kind: 'unknown' };
  }
  const line = lineOf(code);
  if (line) {
    const { description, terms, ending } = line;
    if (ending !== '' || hasCodesBelow(code)) {
      return { kind: 'category', code: dotted(code), description };
    }
    return { kind: 'leaf', code: dotted(code), description, terms, ...contextOf(code) };
  }
  return code.length === FULL ? withEnding(code) : partOfEnding(code);
}

/** The code without its dot, in capitals; undefined when it has not the form of one. */
export function plainCode(written: string): string | undefined {
  const parts = written.trim().toUpperCase().split('.');
  const code = parts.join('');
  const dotInPlace = parts.length === 1 || (parts.length === 2 && parts[0]?.length === 3 && parts[1] !== '');
  return dotInPlace && FORM.test(code) ? code : undefined;
}

/** E119 as E11.9 */
function dotted(code: string): string {
  return code.length > 3 ? `${code.slice(0, 3)}.${code.slice(3)}` : code;
}

interface Line {
  description: string;
  terms: readonly string[];
  /** Name of the list of endings that the code needs; empty when it needs none. */
  ending: string;
}

const blocks = new Map<string, string>();

/** The lines of the codes with the same first two characters; only the blocks that are asked for are unpacked. */
function blockOf(code: string): string {
  const name = code.slice(0, 2);
  let block = blocks.get(name);
  if (block === undefined) {
    const packed = Object.hasOwn(table.blocks, name) ? table.blocks[name as keyof typeof table.blocks] : undefined;
    block = packed === undefined ? '' : `\n${inflateRawSync(Buffer.from(packed, 'base64')).toString('utf8')}\n`;
    blocks.set(name, block);
  }
  return block;
}

function lineOf(code: string): Line | undefined {
  const block = blockOf(code);
  const start = block.indexOf(`\n${code}\t`);
  if (start < 0) {
    return undefined;
  }
  const [, description = '', terms = '', ending = ''] = block
    .slice(start + 1, block.indexOf('\n', start + 1))
    .split('\t');
  return { description, terms: terms === '' ? [] : terms.split('|'), ending };
}

function hasCodesBelow(code: string): boolean {
  const block = blockOf(code);
  const start = block.indexOf(`\n${code}\t`);
  const next = block.indexOf('\n', start + 1) + 1;
  return block.startsWith(code, next);
}

/** A code such as S13.4XXA: another code, placeholders, and one of the endings that it needs. */
function withEnding(code: string): Lookup {
  for (let length = FULL - 1; length >= 3; length--) {
    const parent = code.slice(0, length);
    const line = lineOf(parent);
    if (line) {
      const words = endingsOf(line).find((each) => each.startsWith(code.slice(-1)));
      if (words === undefined || parent.padEnd(FULL - 1, 'X') !== code.slice(0, -1)) {
        return { kind: 'unknown' };
      }
      return {
        kind: 'leaf',
        code: dotted(code),
        description: line.description + words.slice(1),
        terms: line.terms,
        ...contextOf(parent),
      };
    }
  }
  return { kind: 'unknown' };
}

/** S13.4X and S13.4XX are on the way to S13.4XXA. */
function partOfEnding(code: string): Lookup {
  const parent = code.replace(/X+$/, '');
  const line = parent !== code ? lineOf(parent) : undefined;
  return line && line.ending !== ''
    ? { kind: 'category', code: dotted(code), description: line.description }
    : { kind: 'unknown' };
}

function endingsOf({ ending }: Line): readonly string[] {
  const list = Object.hasOwn(table.endings, ending) ? table.endings[ending as keyof typeof table.endings] : '';
  return list === '' ? [] : list.split('|');
}

/** What stands above a code. */
function contextOf(code: string): Pick<Leaf, 'above' | 'category'> {
  const above: string[] = [];
  for (let length = code.length - 1; length >= 3; length--) {
    const line = lineOf(code.slice(0, length));
    above.push(...(line ? [line.description, ...line.terms] : []));
  }
  return { above, category: lineOf(code.slice(0, 3))?.description ?? '' };
}
