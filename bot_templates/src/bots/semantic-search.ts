/**
 * Semantic Search Bot: finds clinical records by meaning, as the user who asks.
 *
 * `$execute {query, patientId?, resourceTypes?, contentType?, limit?, minSimilarity?, dateRange?, includeSnippets?}`
 */
import type { BotEvent, MedplumClient } from '@medplum/core';
import { BotFailure, type FailureOutput } from '../lib/failure.ts';
import { Fields } from '../lib/fields.ts';
import { sha256 } from '../lib/hash.ts';
import { parseReference } from '../lib/ids.ts';
import type { BotInput } from '../lib/input.ts';
import { readPatient } from '../lib/patient.ts';
import { shownText } from '../lib/model/shown-text.ts';
import { EMBEDDED_TYPES } from '../lib/record/record-text.ts';
import { type Hit, retrieve, type Retrieved } from '../lib/retrieval.ts';
import { type BotRun, EMBEDDING_MODEL, runBot, type SuccessOutput } from '../lib/run.ts';

const BOT = {
  key: 'semantic-search',
  name: 'Semantic Search Bot',
  runsAsUser: true,
  unforeseen: 'EMBEDDING_ERROR',
  failureAudit: 'semantic_search',
  model: EMBEDDING_MODEL,
} as const;

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
    if (question.patientId !== undefined) {
      // Before anything else is read or sent: one whom the user may not see is no different from one who is unknown.
      await readPatient(run, question.patientId, 'DB_ERROR');
    }
    const found = await retrieve(run, 'semantic_search', question);
    noteSearch(run, question, found);
    return {
      results: found.hits.map((hit) => result(hit, question.includeSnippets && !hit.textHidden)),
      queryEmbeddingGenerated: true,
      searchDurationMs: Date.now() - started,
      filteredCount: found.filteredCount,
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

function result(hit: Hit, withText: boolean): Record<string, unknown> {
  return {
    resourceType: hit.resourceType,
    resourceId: hit.resourceId,
    patientId: hit.patientId ?? null,
    similarity: Math.round(hit.similarity * 10_000) / 10_000,
    ...(withText ? { matchedText: shownText(hit.text) } : {}),
  };
}

/** The query itself is patient data: its hash and length stand for it. */
function noteSearch(run: BotRun, question: Question, found: Retrieved): void {
  run.audit.note({
    type: 'semantic_search',
    action: 'E',
    outcome: '0',
    patientId: question.patientId,
    detail: {
      'query-sha256': sha256(question.query),
      'query-length': question.query.length,
      results: found.hits.length,
      filtered: found.filteredCount,
    },
  });
}
