/**
 * Semantic Search Bot: finds clinical records by meaning, as the user who asks.
 *
 * `$execute {query, patientId?, resourceTypes?, contentType?, limit?, minSimilarity?, dateRange?, includeSnippets?}`
 */
import type { BotEvent, MedplumClient } from '@medplum/core';
import { writeAudit } from '../lib/audit.ts';
import { withDatabase } from '../lib/database.ts';
import { modelVersion, readEmbeddingContract } from '../lib/embedding-contract.ts';
import { embedTexts } from '../lib/embeddings.ts';
import { BotFailure, type FailureOutput } from '../lib/failure.ts';
import { Fields } from '../lib/fields.ts';
import { sha256 } from '../lib/hash.ts';
import { parseReference } from '../lib/ids.ts';
import type { BotInput } from '../lib/input.ts';
import { readProjectId } from '../lib/project.ts';
import { EMBEDDED_TYPES } from '../lib/record/record-text.ts';
import { fieldsHiddenOf, mayReadPatient, readableVersions } from '../lib/requester.ts';
import { readRouterConfig } from '../lib/router.ts';
import { type BotRun, runBot, type SuccessOutput } from '../lib/run.ts';
import { type Hit, nearest } from '../lib/search-store.ts';

const BOT = {
  key: 'semantic-search',
  name: 'Semantic Search Bot',
  unforeseen: 'EMBEDDING_ERROR',
  failureAudit: 'semantic_search',
} as const;

/** Hits fetched for each result wanted, for some will be dropped. */
const OVERFETCH = 3;

interface Question {
  query: string;
  patientId: string | undefined;
  resourceTypes: string[] | undefined;
  contentType: string | undefined;
  limit: number;
  minSimilarity: number;
  dates: { start: string | undefined; end: string | undefined };
  includeSnippets: boolean;
}

export async function handler(
  medplum: MedplumClient,
  event: BotEvent<unknown>
): Promise<SuccessOutput | FailureOutput> {
  return runBot(BOT, medplum, event, async (run, input) => {
    const started = Date.now();
    const question = readQuestion(input);
    run.patientId = question.patientId;
    requireRight(run, question);
    const found = await search(run, question);
    const warnings = [...found.warnings];
    if (!(await auditSearch(run, question, found))) {
      warnings.push('AUDIT_FAILED');
    }
    return {
      results: found.results,
      queryEmbeddingGenerated: true,
      searchDurationMs: Date.now() - started,
      filteredCount: found.filteredCount,
      ...(warnings.length > 0 ? { warnings } : {}),
    };
  });
}

function readQuestion(input: BotInput): Question {
  if (input.kind !== 'command') {
    throw new BotFailure('INVALID_INPUT', 'The input must be a question, not a resource');
  }
  const fields = new Fields(input.fields);
  const minSimilarity = fields.number('minSimilarity', 0, 1);
  const threshold = fields.number('threshold', 0, 1);
  if (minSimilarity !== undefined && threshold !== undefined && minSimilarity !== threshold) {
    throw new BotFailure('INVALID_INPUT', 'minSimilarity and threshold mean the same, and differ');
  }
  const range = fields.object('dateRange');
  const question: Question = {
    query: fields.present('query', fields.text('query', 2_000)),
    patientId: fields.id('patientId', 'Patient'),
    resourceTypes: fields.listOf('resourceTypes', EMBEDDED_TYPES),
    contentType: fields.text('contentType', 50),
    limit: fields.integer('limit', 1, 50) ?? 10,
    minSimilarity: minSimilarity ?? threshold ?? 0.5,
    dates: { start: range?.date('start'), end: range?.date('end') },
    includeSnippets: fields.boolean('includeSnippets') ?? true,
  };
  range?.done();
  fields.done();
  if (question.dates.start && question.dates.end && question.dates.start > question.dates.end) {
    throw new BotFailure('INVALID_INPUT', 'dateRange.start must not be after dateRange.end');
  }
  return question;
}

/** A search across patients is a practitioner's; `event.requester` is attested by the server. */
function requireRight(run: BotRun, question: Question): void {
  const requester = parseReference(run.event.requester?.reference)?.resourceType;
  if (requester === undefined || (question.patientId === undefined && requester !== 'Practitioner')) {
    throw new BotFailure('UNAUTHORIZED', 'Only a Practitioner may search without patientId');
  }
}

interface Found {
  results: Record<string, unknown>[];
  filteredCount: number;
  warnings: string[];
}

async function search(run: BotRun, question: Question): Promise<Found> {
  const { patientId } = question;
  const contract = readEmbeddingContract(run.secrets);
  const router = readRouterConfig(run.secrets, BOT.name);
  const projectId = readProjectId(run.secrets);
  const limitMs = run.secrets.integer('EMBED_TIMEOUT_MS', 5_000, 100, 120_000);
  const [vectors, patientReadable, fieldsHidden] = await Promise.all([
    embedTexts(router, contract, 'semantic_search', 'query', [question.query], limitMs),
    patientId === undefined ? true : mayReadPatient(run.medplum, patientId),
    fieldsHiddenOf(run.medplum),
  ]);
  const hits = await withDatabase(run.secrets, 'medbots semantic search', (database) =>
    nearest(database, {
      ...question,
      projectId,
      modelVersion: modelVersion(contract),
      vector: vectors[0] ?? [],
      limit: question.limit * OVERFETCH,
    })
  );
  const versions = await readableVersions(run.medplum, hits);
  const kept = hits.filter((hit) => versions.get(`${hit.resourceType}/${hit.resourceId}`) === hit.versionId);
  return {
    results: kept
      .slice(0, question.limit)
      .map((hit) => result(hit, question.includeSnippets && !fieldsHidden(hit.resourceType))),
    // For a patient whom the user may not read, the count itself would tell what is in the record.
    filteredCount: patientReadable ? hits.length - kept.length : 0,
    warnings: patientReadable ? [] : ['PATIENT_NOT_FOUND'],
  };
}

function result(hit: Hit, withText: boolean): Record<string, unknown> {
  return {
    resourceType: hit.resourceType,
    resourceId: hit.resourceId,
    patientId: hit.patientId ?? null,
    similarity: Math.round(hit.similarity * 10_000) / 10_000,
    ...(withText ? { matchedText: hit.text } : {}),
  };
}

/** The query itself is patient data: its hash and length stand for it. */
function auditSearch(run: BotRun, question: Question, found: Found): Promise<boolean> {
  return writeAudit(run, {
    type: 'semantic_search',
    action: 'E',
    outcome: '0',
    patientId: question.patientId,
    detail: {
      'query-sha256': sha256(question.query),
      'query-length': question.query.length,
      results: found.results.length,
      filtered: found.filteredCount,
    },
  });
}
