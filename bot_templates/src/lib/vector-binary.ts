import { Buffer } from 'node:buffer';

/** Bytes before the numbers of a vector: its length and a zero, 16 bits each. */
const VECTOR_HEADER = 4;
/** Bytes before the elements of an array: dimensions, flags, element type, length, first index, 32 bits each. */
const ARRAY_HEADER = 20;
const LENGTH = 4;

/** pgvector's wire form of `vector`; pg sends a Buffer as it is. */
export function vectorBinary(vector: readonly number[]): Buffer {
  const bytes = Buffer.alloc(sizeOf(vector));
  writeVector(bytes, 0, vector);
  return bytes;
}

/**
 * The wire form of `vector[]`. As text, 200 vectors of 768 numbers take fifty times as long.
 * @param type - Object id of the type `vector`, which every database numbers differently.
 */
export function vectorsBinary(vectors: readonly (readonly number[])[], type: number): Buffer {
  const size = vectors.reduce((sum, vector) => sum + LENGTH + sizeOf(vector), ARRAY_HEADER);
  const bytes = Buffer.alloc(size);
  for (const [position, value] of [1, 0, type, vectors.length, 1].entries()) {
    bytes.writeUInt32BE(value, 4 * position);
  }
  let at = ARRAY_HEADER;
  for (const vector of vectors) {
    bytes.writeInt32BE(sizeOf(vector), at);
    at = writeVector(bytes, at + LENGTH, vector);
  }
  return bytes;
}

function sizeOf(vector: readonly number[]): number {
  return VECTOR_HEADER + 4 * vector.length;
}

/** Writes a vector, and returns where it ends. */
function writeVector(bytes: Buffer, start: number, vector: readonly number[]): number {
  bytes.writeInt16BE(vector.length, start);
  let at = start + VECTOR_HEADER;
  for (const value of vector) {
    at = bytes.writeFloatBE(value, at);
  }
  return at;
}
