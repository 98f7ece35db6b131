/**
 * How texts speak to a model instead of about a patient, as patterns over `plainText`.
 *
 * A record is full of words like ignore, instructions and rules. What gives an order to a model away is an imperative
 * where a sentence begins, words such as previous, your or all before the rules that it means, a name for the model,
 * or what no record speaks of, such as a system prompt. Each gap is bounded, so that no pattern can run away.
 */

/** Where an imperative can begin; a comma does not count, for a list of a patient's habits goes on after one. */
const BEGIN = String.raw`(?:^|[.!?:;"'()\[\]{}<>*#|•–—…]\s?|\n-?\s?|(?<=\s)-\s?|\b(?:please|pls|kindly|now|instead|immediately|simply|just|first|(?:you|assistant|model|ai)(?: must| should| shall| will| can| may| have to)?)\s)`;

/** An order to leave the rules, where the sentence does not say whose. */
function order(verbs: string, between: string, objects: string): RegExp {
  return pattern(String.raw`${BEGIN}(?:${verbs})\s(?:(?:${between})\s){0,8}(?:${objects})\b`);
}

/** The same anywhere in a sentence, where a word before or after tells that the rules are the model's. */
function orderOver(verbs: string, between: string, ofModel: string, objects: string, after: string): RegExp {
  const lead = String.raw`(?:(?:${between})\s){0,5}`;
  return pattern(
    String.raw`\b(?:${verbs})\s${lead}(?:(?:${ofModel})\s${lead}(?:${objects})\b|(?:${objects})\s(?:${after})\b)`
  );
}

function pattern(source: string): RegExp {
  return new RegExp(source, 'gu');
}

const ENGLISH_BETWEEN =
  'all|any|each|every|everything|the|your|these|those|this|that|my|our|its|of|in|previous|previously|prior|past|above|earlier|preceding|foregoing|former|existing|current|present|system|initial|original|default|internal|safety|security|content|ethical|other|given|stated|listed|such|hidden|developer|and|or|moderation|privacy|clinical';
const ENGLISH_RULES =
  'instructions?|prompts?|rules?|guidelines?|guardrails?|safeguards?|policy|policies|directives?|programming|constraints?|restrictions?';

const ENGLISH: readonly RegExp[] = [
  order(
    "ignore|disregard|forget|override|overrule|bypass|circumvent|violate|do not follow|don't follow|stop following|do not obey|don't obey|no longer follow",
    ENGLISH_BETWEEN,
    ENGLISH_RULES
  ),
  pattern(
    String.raw`(?<!\b(?:to|will|may|might|would|could|can|often|sometimes)\s)\b(?:ignore|disregard|override|overrule|bypass|circumvent)\s(?:(?:${ENGLISH_BETWEEN})\s){0,5}(?:previous|prior|above|earlier|preceding|foregoing|your|system|initial|original|safety|developer)\s(?:(?:${ENGLISH_BETWEEN})\s){0,5}(?:${ENGLISH_RULES})\b`
  ),
  pattern(
    String.raw`\byou\b[^.!?;\n]{0,40}\b(?:ignore|disregard|forget|override|bypass)\s(?:(?:${ENGLISH_BETWEEN})\s){1,8}(?:${ENGLISH_RULES})\b`
  ),
  pattern(
    String.raw`\b(?:ignore|disregard|forget)\s(?:all (?:of )?(?:the )?|everything\s)(?:above|previous|prior|before|you (?:were|have been|know)|(?:that (?:was|is|has been) )?(?:said|written|stated|told|printed) (?:above|before|so far|previously))\b`
  ),
  pattern(
    String.raw`\b(?:ignore|disregard|forget|override)\s(?:(?:all|any|the|of|these|those)\s){0,4}(?:${ENGLISH_RULES})\s(?:above|before this|so far|(?:that )?you (?:were|have been|are) (?:given|told)|given to you|and (?:reveal|print|output|disclose|leak|instead))\b`
  ),
  pattern(
    String.raw`\bsystem prompt|\bdeveloper (?:prompt|mode|message)\b|\badmin(?:istrator)? override\b|\bprompt injection attack`
  ),
  pattern(
    String.raw`\b(?:new|updated|real|actual|additional|hidden|secret)\s(?:system|developer|override|model|ai)\s(?:instructions?|prompt|message|rules)\b`
  ),
  pattern(
    String.raw`\byour\s(?:new|real|true|actual|only|sole|hidden)\s(?:task|role|instructions?|directive|purpose|job|mission)\s(?:is|are)\b`
  ),
  pattern(
    String.raw`\bend of (?:the )?(?:record|note|document|sources?|data|context|chart|file)\b[^\p{L}]{0,20}(?:begin |start )?(?:of )?(?:new|updated|system|real) (?:system )?(?:instructions?|prompt|task|rules)\b`
  ),
  pattern(
    String.raw`\byou(?:'re| are)\s(?:now |no longer |actually |really |in fact ){0,2}(?:(?:an?|the|in|not)\s){0,2}(?:\p{L}{1,20}\s){0,2}(?:a\.i\.|ai(?! (?:jet|murmur|grade))|llm|gpt|chatgpt|language model|chatbot|unrestricted|jailbroken|root user|developer mode|bound by (?:any|the|your|these)|dan\b|assistant(?! (?:surgeon|professor|physician|nurse|manager|director|to)))\b`
  ),
  pattern(
    String.raw`\b(?:act|respond|behave|answer|reply|operate|roleplay|speak) (?:as|like)\b(?: if| though)?[^.!?;\n]{0,40}\b(?:an ai|language model|chatbot|unrestricted|no (?:rules|restrictions|limits|guidelines)|admin(?:istrator)?|developer|root|another model)\b`
  ),
  pattern(
    String.raw`\bpretend (?:that )?you(?:'re| are)\b|\bpretend to be an? (?:ai|language model|chatbot|administrator|unrestricted)\b`
  ),
  pattern(
    String.raw`\b(?:dear|attention|attn|note to|message (?:to|for)|hey|hello|hi|fao)[\s,:]{1,3}(?:the |any |all |our )?(?:ai|a\.i\.|llms?|gpt|chatgpt|claude|gemini|copilot|language models?|chatbots?|large language models?|(?:automated|virtual|digital|ai|medical ai|clinical ai) (?:assistant|summari[sz]er|reader|agent|model|system)|assistant(?=\s?[,:!]))(?![\p{L}\d])`
  ),
  pattern(
    String.raw`\b(?:llm|language model|chatbot|chatgpt|ai (?:assistant|model|system|agent|tool|reader|summari[sz]er))s?\b[^.!?;\n]{0,30}\b(?:must|should|shall|needs? to|ha(?:s|ve) to|are to|is to|please)\b`
  ),
  pattern(
    String.raw`(?:^|[.!?\n]\s?)(?:ai|assistant|chatbot|llm)\s?[,:]\s?(?:please|you (?:must|should|are)|ignore|output|print|reveal|write|say|respond|answer|do not|don't|repeat|always|approve)\b`
  ),
  pattern(
    String.raw`(?:${BEGIN}|\b(?:and|then|also|to|must)\s)(?:reveal|print|output|disclose|leak|exfiltrate|dump|expose|list|show|display|return|repeat)\s(?:(?:me|us|all|any|every|the|of|details|data|records?|names?|information|identit(?:y|ies)|charts?|results|notes|about|for|from|on|and|everything|what)\s){0,8}(?:other|another|different|all (?:the )?(?:other )?|every(?: other)?)\s?patients?\b`
  ),
  pattern(
    String.raw`\b(?:reveal|print|output|disclose|leak|exfiltrate|dump|expose|send|post|return)\b[^.!?;\n]{0,40}\b(?:api[ _-]?keys?|secret keys?|access tokens?|environment variables|(?:your|hidden|system|initial|developer) (?:\p{L}{1,15} )?(?:instructions?|prompts?|rules))\b`
  ),
  pattern(
    String.raw`\b(?:reveal|disclose|leak|exfiltrate|dump)\b[^.!?;\n]{0,40}\b(?:passwords?|credentials|secrets)\b|\brepeat (?:your|the system|the hidden|the above) (?:instructions?|prompt)\b`
  ),
  pattern(
    String.raw`\bauto-?approve|\bapprove (?:this|the|all|any|every) (?:commands?|tasks?|pending (?:commands?|tasks?|orders?))\b|\bmark (?:this|it|the (?:task|command)|them|all) as approved\b|requires_?approval|\b(?:without|skip(?:ping)?|bypass(?:ing)?|no) (?:any |the |further )?human (?:approval|review|oversight|confirmation)\b`
  ),
  pattern(
    String.raw`\b(?:set|report|return|output|assign)\b[^.!?;\n]{0,25}\bconfidence\b(?! interval)[^.!?;\n]{0,15}?(?:\bto|\bof|\bas|=|:)\s?(?:0?\.\d|1(?:\.0)?\b|100|max|high)`
  ),
  pattern(
    String.raw`["'](?:answerable|sentences|citations|requiresapproval|tool_calls?)["']\s?:|\banswerable\s?(?:=|:|to)\s?true\b`
  ),
  pattern(
    String.raw`${BEGIN}(?:always |only )?(?:respond|reply|answer|output) (?:only|exactly|always|just|nothing but|solely)\b[^.!?;\n]{0,12}(?:with|:|"|that)`
  ),
  pattern(
    String.raw`\b(?:do not|don't|never) (?:mention|reveal|disclose|tell|cite|show)\b[^.!?;\n]{0,40}\b(?:this (?:instruction|prompt|message)|these (?:instructions|rules)|the user)\b`
  ),
  pattern(String.raw`\bjail\s?break|\bdan mode\b|\bdo anything now\b`),
  pattern(
    String.raw`(?:ignore|disregard|forget|override|bypass)(?:all|any|the|your|my|these|previous|prior|above|of|system){1,6}(?:instructions?|prompts?|rules?)`
  ),
];

const GERMAN: readonly RegExp[] = [
  pattern(
    String.raw`(?:${BEGIN}|\b(?:bitte|du (?:sollst|musst)|und)\s)(?:ignoriere?n?|missachten?|vergiss|vergessen sie|ubergehen?|umgehen?|befolge nicht|befolgen sie nicht)\s(?:sie\s|bitte\s|du\s){0,2}(?:(?:alle[nrsm]?|die|den|das|der|deine[nr]?|ihre[nr]?|samtliche[nrs]?|jegliche[nrs]?|jede|bisherigen?|vorherigen?|vorigen?|obigen?|fruheren?|vorangegangenen?|vorstehenden?|vorangehenden?|meine|diese|sonstigen?|bestehenden?|gegebenen?|und)\s){0,6}(?:system)?(?:anweisung(?:en)?|instruktion(?:en)?|regeln?|vorgaben?|richtlinien?|befehle?n?|prompts?|sicherheits\p{L}{1,20})(?!\p{L})`
  ),
  pattern(
    String.raw`\bdu bist (?:jetzt|nun|ab sofort|kein|nicht mehr|ein|eine)\b[^.!?;\n]{0,30}\b(?:ki|ki-\p{L}{1,20}|assistent|sprachmodell|chatbot|administrator|uneingeschrankt\p{L}{0,3})(?!\p{L})`
  ),
  pattern(
    String.raw`\b(?:neue|versteckte|geheime)\s(?:system)(?:anweisung|instruktion)(?:en)?\b|\bsystemprompt|\b(?:an die ki|liebe ki)\b\s?[,:]`
  ),
  pattern(
    String.raw`(?:${BEGIN}|\b(?:und|bitte)\s)(?:gib|geben|zeige?n?|nenne?n?|liste|verrate?n?|drucke)\s[^.!?;\n]{0,40}\b(?:andere[nr]?|aller|alle|samtliche[nr]?)\s(?:anderen\s)?patient\p{L}{0,5}(?!\p{L})`
  ),
];

const ROMANCE: readonly RegExp[] = [
  // French
  orderOver(
    'ignore[zr]?|oublie[zr]?|neglige[zr]?|contourne[zr]?|ne (?:suis|suivez|respectez?) pas|ne (?:tiens|tenez) pas compte de[s]?',
    'toutes|tous|les|la|des|aux|du|de|ces|cette|et',
    'precedentes?|anterieures?|tes|vos|ton|votre|systeme|toutes',
    'instructions?|consignes?|regles|directives?',
    'precedentes?|anterieures?|ci-dessus|systeme|initiales?|de securite|donnees plus haut'
  ),
  pattern(
    String.raw`\b(?:tu es|vous etes) (?:maintenant|desormais|un|une)\b[^.!?;\n]{0,20}\b(?:ia|assistant|chatbot|modele de langage|administrateur|sans restriction)\b`
  ),
  pattern(
    String.raw`(?:${BEGIN}|\b(?:et)\s)(?:revele[zr]?|montre[zr]?|affiche[zr]?|divulgue[zr]?|liste[zr]?)\b[^.!?;\n]{0,40}\b(?:autres|tous les) patients\b|\bprompt systeme\b|\binvite systeme\b`
  ),
  // Spanish
  orderOver(
    'ignor(?:a|e|ad|en|ar)|olvid(?:a|e|ad|en)|omit(?:a|e)|descart(?:a|e)|desobedece|ha(?:z|ga) caso omiso de|no sig(?:as|a)',
    'todas?|todos?|las?|los|estas|esas|de|y',
    'anteriores|previas|previos|tus|todas',
    'instrucciones|reglas|normas|directrices|ordenes',
    'anteriores|previas|previos|de arriba|del sistema|iniciales'
  ),
  pattern(String.raw`\b(?:ahora eres|eres ahora|a partir de ahora eres)\b|\bprompt del sistema\b`),
  pattern(
    String.raw`(?:${BEGIN}|\b(?:y)\s)(?:revela|revele|muestra|muestre|imprime|divulga|lista)\b[^.!?;\n]{0,40}\b(?:otros|todos los) pacientes\b`
  ),
  // Portuguese
  orderOver(
    'ignor(?:e|a|ar|em)|esque(?:ca|ce|cam)|desconsider(?:e|a|em)|nao siga',
    'todas?|todos?|as|os|de|e',
    'anteriores|previas|suas|tuas|todas',
    'instrucoes|regras|orientacoes|diretrizes|ordens',
    'anteriores|previas|acima|do sistema|iniciais'
  ),
  pattern(
    String.raw`\b(?:agora voce e|a partir de agora voce e)\b|\bprompt do sistema\b|(?:${BEGIN}|\b(?:e)\s)(?:revele|mostre|liste|imprima|divulgue)\b[^.!?;\n]{0,40}\b(?:outros|todos os) pacientes\b`
  ),
  // Italian
  orderOver(
    'ignora(?:re|te)?|dimentica(?:re|te)?|trascura|non seguire',
    'tutte|tutti|le|gli|i|di|e',
    'precedenti|tue|vostre|tutte',
    'istruzioni|regole|indicazioni|direttive',
    'precedenti|di cui sopra|del sistema|iniziali'
  ),
  pattern(
    String.raw`\b(?:ora sei|adesso sei)\s(?:un|una)\b[^.!?;\n]{0,20}\b(?:ia|assistente|chatbot|modello)\b|(?:${BEGIN}|\b(?:e)\s)(?:rivela|mostra|elenca|stampa)\b[^.!?;\n]{0,40}\b(?:altri|tutti i) pazienti\b`
  ),
];

const OTHERS: readonly RegExp[] = [
  // Dutch, the Scandinavian languages
  pattern(
    String.raw`\b(?:negeer|vergeet|omzeil)\s(?:(?:de|het)\s)?(?:(?:alle|uw|je|jouw|eerdere|vorige|bovenstaande|voorgaande)\s){1,6}(?:instructies|regels|aanwijzingen|opdrachten|richtlijnen)\b`
  ),
  pattern(
    String.raw`\b(?:ignorer|ignorera|bortse fran|glem|glom)\s(?:(?:alla|alle|de|dina|dine|tidigare|tidligere|ovanstaende|forrige)\s){1,6}(?:instru[kc]\p{L}{1,12}|regler|anvisning\p{L}{0,5})`
  ),
  // Polish, Turkish, Indonesian, Vietnamese
  pattern(
    String.raw`\b(?:zignoruj|ignoruj|zapomnij o|pomin)\s[^.!?;\n]{0,30}(?:instrukcj|polece|zasad|regul)\p{L}{0,4}`
  ),
  pattern(
    String.raw`(?:onceki|yukaridaki|tum|butun)\s[^.!?;\n]{0,30}(?:talimat|kural|komut)\p{L}{0,8}\s[^.!?;\n]{0,20}(?:yok say|unut|goz ardi et|gormezden gel|dikkate alma)`
  ),
  pattern(
    String.raw`\babaikan\s(?:semua\s|segala\s)?(?:instruksi|perintah|aturan|petunjuk)\s(?:sebelumnya|di atas|sistem)`
  ),
  pattern(
    String.raw`\bbo qua\s[^.!?;\n]{0,20}(?:huong dan|chi dan|chi thi|lenh|quy tac)\s[^.!?;\n]{0,10}(?:truoc|tren)`
  ),
  // Russian, Ukrainian
  pattern(
    String.raw`(?<!\p{L})(?:игнорируй(?:те)?|проигнорируй(?:те)?|забудь(?:те)?|не следуй(?:те)?|пренебреги(?:те)?|отмени(?:те)?|ігноруй(?:те)?|проігноруй(?:те)?)\s[^.!?;\n]{0,40}(?:инструкци|указани|правил|команд|промпт|інструкці|вказівк)`
  ),
  pattern(
    String.raw`(?<!\p{L})(?:покажи|раскрой|выведи|перечисли)(?:те)?\s[^.!?;\n]{0,40}(?:других|всех)\sпациент|(?<!\p{L})ты теперь\s|системн\p{L}{1,3} промпт`
  ),
  // Greek, Hebrew, Arabic, Persian, Hindi
  pattern(String.raw`(?:αγνόησε|αγνοήστε|ξέχασε|ξεχάστε)\s[^.!?;\n]{0,30}(?:οδηγίες|εντολές|κανόνες)`),
  pattern(String.raw`התעלם\p{L}{0,2}\s[^.!?;\n]{0,10}ה?(?:הוראות|כללים)\s[^.!?;\n]{0,6}(?:הקודמות|הקודמים|לעיל)`),
  pattern(
    String.raw`(?:تجاهل|انس|تجاوز)\p{M}?\s(?:[^.!?;\n]{0,12}(?:التعليمات|الأوامر|القواعد|الإرشادات)\s[^.!?;\n]{0,10}(?:السابقة|أعلاه|المذكورة|الخاصة بك)|(?:جميع|كل|كافة)\s(?:التعليمات|الأوامر|القواعد|الإرشادات))`
  ),
  pattern(
    String.raw`(?:دستورات|دستورالعمل|قوانین|فرمان)\p{L}{0,6}\s[^.!?;\n]{0,20}(?:قبلی|بالا|پیشین)\s[^.!?;\n]{0,10}(?:نادیده|فراموش)`
  ),
  pattern(
    String.raw`(?:पिछले|पिछली|पहले के|पूर्व|सभी|उपरोक्त|ऊपर)[^।.!?\n]{0,20}(?:निर्देश|नियम|आदेश)[^।.!?\n]{0,15}(?:अनदेखा|भूल|नज.{0,1}रअंदाज)`
  ),
  // Chinese, Japanese, Korean, Thai
  pattern(
    String.raw`(?:忽略|忽视|无视|忽視|無視|忘记|忘掉|忘記|不要理会|不要遵守|不要理會)[^。！？\n]{0,8}(?:之前|以前|先前|上面|以上|上述|前面|所有|全部|一切|你的|您的|系统|系統)[^。！？\n]{0,8}(?:指令|指示|提示|规则|規則|命令|说明)`
  ),
  pattern(
    String.raw`(?:显示|透露|泄露|列出|输出|告诉我|顯示|洩露)[^。！？\n]{0,12}(?:其他|别的|所有|其它)(?:病人|患者)|系统提示词?|系統提示詞?|你现在是|你現在是`
  ),
  pattern(
    String.raw`(?:以前の|これまでの|上記の|すべての|全ての|あなたの|システムの?)[^。！？\n]{0,8}(?:指示|命令|ルール|プロンプト|指令)[をは]?[^。！？\n]{0,4}(?:無視(?:して(?!い)|しろ|せよ|し、|し,)|忘れて(?!い)|忘れろ)`
  ),
  pattern(
    String.raw`(?:이전|위의|앞의|지금까지의|당신의|시스템)[^.!?\n]{0,10}(?:지시|명령|규칙|프롬프트|지침)[^.!?\n]{0,8}(?:무시|잊어|잊으)|모든\s?(?:지시|명령|규칙|지침)[^.!?\n]{0,8}무시(?:해|하세요|하십시오|하라)`
  ),
  pattern(String.raw`(?:ละเว้น|เพิกเฉย|ไม่ต้องสนใจ|ลืม)[^\n]{0,12}คำสั่ง[^\n]{0,8}(?:ก่อนหน้า|ทั้งหมด|ข้างต้น)`),
];

/** Global patterns, none of which matches nothing: whoever searches with `exec` begins at `lastIndex` 0. */
export const ADDRESSED_TO_A_MODEL: readonly RegExp[] = [...ENGLISH, ...GERMAN, ...ROMANCE, ...OTHERS];
