/**
 * Text in a record that speaks to a model instead of about the patient.
 *
 * It is taken out before a model sees it. This list is one guard of several and will never be complete: what holds
 * whatever a model obeys is that it has no tools, that ids come from the bot, and that every claim must be cited.
 */
const ADDRESSED_TO_A_MODEL: readonly RegExp[] = [
  // English
  /\b(?:ignore|disregard|forget|override|bypass|skip)\b.{0,60}\b(?:instructions?|prompts?|rules?|guidelines?|guardrails?|safeguards?|polic(?:y|ies)|training|constraints?|everything above)\b/i,
  /\b(?:new|updated|real|following|hidden|secret)\s+(?:system\s+)?(?:instructions?|prompt)\b/i,
  /\b(?:system|developer|admin(?:istrator)?)\s+(?:prompt|message|override|mode|note to (?:the )?(?:ai|model|assistant))\b/i,
  /\byou are (?:now|no longer|an? (?:ai|assistant|language model|chatbot|unrestricted))\b/i,
  /\b(?:act|respond|behave|answer|reply) as (?:if|though|an?|the)\b.{0,40}\b(?:ai|assistant|model|admin|developer|doctor|physician|system)\b/i,
  /\b(?:dear|attention|note to|message (?:to|for)|hey|hello)[\s,:]+(?:the\s+)?(?:ai|a\.i\.|llm|gpt|chatgpt|assistant|language model|model|bot|chatbot)\b/i,
  /\b(?:ai|llm|assistant|language model|chatbot)\b[^.\n]{0,30}\b(?:must|should|shall|need to|have to|are to|please)\b/i,
  /\b(?:reveal|print|output|repeat|show|list|disclose|leak|exfiltrate|send)\b.{0,50}\b(?:system prompt|instructions|other patients?|another patient|all patients|secrets?|api[ _-]?keys?|passwords?|credentials|tokens?)\b/i,
  /\b(?:auto-?approve|approve (?:this|the|all) (?:commands?|tasks?|orders?)|mark (?:this|it) as approved|requires_?approval|without (?:any )?(?:human )?(?:approval|review))\b/i,
  /\b(?:set|report|return|give)\b.{0,25}\bconfidence\b.{0,15}\b(?:to|of|as|=)\b/i,
  /\bjail ?break|\bDAN mode|\bdo anything now\b/i,
  // German
  /\b(?:ignorier|missacht|vergiss|vergessen|übergeh|umgeh)\w*\b.{0,60}\b(?:anweisung|instruktion|regel|vorgabe|richtlinie|befehl)\w*/i,
  /\bdu bist (?:jetzt|nun|ab sofort|ein(?:e)? (?:ki|assistent))/i,
  /\b(?:neue|versteckte|geheime)\s+(?:system)?(?:anweisung|instruktion)\w*/i,
  // French
  /\b(?:ignor|oubli|néglig|contourn)\w*\b.{0,60}\b(?:instruction|consigne|règle|directive)s?\b/i,
  /\b(?:tu es|vous êtes) (?:maintenant|désormais|un(?:e)? (?:ia|assistant))/i,
  // Spanish, Portuguese, Italian
  /\b(?:ignor|olvid|omit|descart|esque[çc]|desconsider|dimentic)\w*\b.{0,60}\b(?:instruc|instruç|istruzion|indicacion|regla|regra|regol|norma)\w*/i,
  /\b(?:ahora eres|eres ahora|a partir de ahora eres|agora você é|ora sei un)/i,
  // Chinese, Japanese, Korean, Russian, Arabic, Hindi
  /(?:忽略|忽视|无视|忽視|無視|忘记|忘掉|不要理会).{0,30}(?:指令|指示|提示|规则|規則|命令)/,
  /(?:指示|命令|ルール|プロンプト).{0,15}(?:無視|忘れ)/,
  /(?:지시|명령|규칙|프롬프트).{0,15}(?:무시|잊)/,
  /(?:игнорир|забуд|пренебре)[\p{L}]*.{0,60}(?:инструкц|указан|правил|команд)/iu,
  /(?:تجاهل|انس|تجاوز).{0,60}(?:التعليمات|الأوامر|القواعد|تعليمات)/u,
  /(?:निर्देश|नियम|आदेश).{0,40}(?:अनदेखा|नज़रअंदाज|भूल)/u,
];

/** Marks by which chat templates and agents part their turns; in a record they can only deceive. */
const TEMPLATE_MARKS =
  /<\|[^|>\n]{1,40}\|>|\[\/?(?:INST|SYS|SYSTEM|TOOL_CALLS|AVAILABLE_TOOLS)\]|<<\/?SYS>>|<\/?(?:s|bos|eos|pad|system|assistant|user|start_of_turn|end_of_turn|think|thinking|tool_call|function_call)>|^\s*(?:#{1,4}\s*)?(?:system|assistant|human|user|instruction|response)\s*:\s*$/gim;

/** Characters that are not seen: zero width, bidirectional controls, Unicode tags, variation selectors. */
const UNSEEN = /[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\u{e0000}-\u{e0fff}]/gu;

/** Unbroken runs that no clinical text has, such as encoded payloads. */
const ENCODED = /[A-Za-z0-9+/=_-]{120,}/g;

const REMOVED = '[removed]';

/** Longest stretch that is judged at once; patterns are tried on each. */
const STRETCH = 2_000;

/** A record's text as a model may see it. */
export interface Disarmed {
  text: string;
  /** Sentences and marks that were taken out. */
  removed: number;
}

/**
 * Takes out of a record's text what is not about the patient but addressed to a model.
 *
 * Whole sentences go, so that no half of an order stays; what is left out is marked in its place.
 */
export function disarm(record: string): Disarmed {
  let removed = 0;
  const take = () => {
    removed++;
    return REMOVED;
  };
  const visible = record.replace(UNSEEN, '').replace(TEMPLATE_MARKS, take).replace(ENCODED, take);
  const text = sentences(visible)
    .map((sentence) => (addressesModel(sentence) ? take() + trailingBreak(sentence) : sentence))
    .join('');
  return { text, removed };
}

/** Whether a text speaks to a model; letters that only look Latin are read as Latin. */
export function addressesModel(text: string): boolean {
  const plain = latinLookalikes(text.normalize('NFKC')).replace(/\s+/g, ' ').slice(0, STRETCH);
  return ADDRESSED_TO_A_MODEL.some((pattern) => pattern.test(plain));
}

/** A text in sentences, each with what follows it; together they are the text. */
function sentences(text: string): string[] {
  return text.match(/[^.!?。！？\n]{1,2000}(?:[.!?。！？]+|\n+|$)\s*|[\s\S]/gu) ?? [];
}

function trailingBreak(sentence: string): string {
  return /\s*$/.exec(sentence)?.[0] ?? '';
}

const LOOKALIKES: Record<string, string> = {
  а: 'a', е: 'e', о: 'o', р: 'p', с: 'c', у: 'y', х: 'x', і: 'i', ѕ: 's', ј: 'j', ԁ: 'd', ո: 'n', ο: 'o', α: 'a', ε: 'e', ι: 'i', ν: 'v', ρ: 'p', υ: 'u', τ: 't', κ: 'k', ɡ: 'g',
};

/** Replaced only within words that hold Latin letters too: a Russian word stays Russian. */
function latinLookalikes(text: string): string {
  return text.replace(/[\p{L}]+/gu, (word) =>
    /[a-z]/i.test(word) ? [...word].map((letter) => LOOKALIKES[letter] ?? letter).join('') : word
  );
}
