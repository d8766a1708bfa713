"""Word lists of the corpus, written for this project: product nouns by domain, attributes, units, film words.

``DOMAINS`` maps a domain to lines ``heads: modifiers``; an interest is one modifier before one head ("gel pens"). The
heads of a line, separated by "/", are alternatives. Plain words only, lower case; the corpus gives them their case.
"""

from __future__ import annotations

DOMAINS: dict[str, str] = {
    "writing": """
        pens: gel ballpoint fountain calligraphy rollerball felt brush fineliner
        markers: permanent whiteboard chalk highlighter paint fabric
        pencils: mechanical drawing colored graphite charcoal watercolor
        paper: copy photo construction tracing tissue wrapping parchment
        notebook/notebooks: spiral hardcover pocket lined dotted leather
        envelopes: mailing bubble padded catalog window
        folders: hanging manila pocket file expanding
        tape: packing masking duct correction washi double-sided
        labels: address shipping name filing
        stapler/staplers: desktop electric heavy-duty
        calendar/planner: wall desk weekly academic""",
    "electronics": """
        printer/printers: laser inkjet label photo thermal
        cartridge/cartridges: toner ink drum
        phone/phones: cordless corded conference smart
        cable/cables: usb charging network extension audio
        headphones: wireless earbud gaming noise-canceling studio
        speaker/speakers: bluetooth bookshelf portable desktop
        camera/cameras: digital security dash trail instant
        scanner/scanners: document barcode flatbed
        calculator/calculators: graphing scientific printing
        keyboard/keyboards: mechanical wireless ergonomic
        mouse: gaming wireless optical
        charger/chargers: wall car battery solar
        drive/drives: flash hard external
        case/cases: phone tablet laptop camera
        stand/mount: monitor laptop tablet tv""",
    "makeup": """
        lipstick/lipsticks: matte liquid moisturizing sheer
        mascara: waterproof volumizing lengthening curling
        eyeliner: liquid pencil gel kohl
        eyeshadow: shimmer matte cream mineral
        palette/palettes: makeup contour eyeshadow blush
        foundation: liquid powder mineral stick
        concealer: full-coverage stick cream
        brush/brushes: makeup kabuki foundation blending eyebrow
        polish: nail gel glitter chrome
        lashes: false magnetic mink
        remover: makeup polish eye
        powder: setting face translucent bronzing
        gloss/balm: lip tinted""",
    "skincare": """
        cream/creams: eye night hand face anti-aging shaving body
        lotion: body suntan tanning calamine baby
        cleanser/wash: facial body foaming acne
        serum: vitamin retinol collagen hyaluronic
        mask/masks: sheet clay sleeping mud peel-off
        oil: argan coconut rosehip jojoba castor massage
        butter: shea cocoa body
        sunscreen: mineral sport face
        toner/water: witch-hazel rose facial micellar
        soap/soaps: bar liquid goat-milk olive black
        scrub: sugar salt foot coffee
        deodorant: natural roll-on stick crystal
        perfume/cologne: floral spray rollerball""",
    "hair": """
        shampoo: dry clarifying dandruff volumizing baby purple
        conditioner: leave-in deep thickening moisturizing
        iron/irons: curling flat crimping
        dryer/dryers: hair hooded travel ionic
        dye/color: hair semi-permanent root henna
        spray/mousse: hair texturizing sea-salt heat-protectant
        clippers/trimmer: hair beard nose
        brush/comb: paddle detangling round teasing
        clips/ties: hair claw satin
        razor/razors: safety disposable electric
        wig/extensions: human-hair clip-in synthetic""",
    "kitchen": """
        pan/pans: frying sheet sauce muffin loaf cake
        pot/pots: stock slow-cooker tea coffee
        knife/knives: chef paring bread steak santoku
        maker/makers: coffee waffle bread ice-cream pasta yogurt
        board/boards: cutting cheese serving
        mug/mugs: travel ceramic glass camping
        bowl/bowls: mixing salad soup cereal
        grinder/mill: coffee pepper spice meat
        kettle/kettles: electric whistling gooseneck
        containers: food storage lunch meal-prep
        mat/mats: baking drying place
        blender/mixer: hand stand immersion personal
        oven/fryer: toaster air dutch deep
        opener/peeler: can bottle jar vegetable
        scale/thermometer: kitchen meat candy""",
    "grocery": """
        tea: green black herbal chamomile oolong peppermint
        coffee: ground instant decaf espresso
        beans: coffee black kidney pinto
        sauce: hot soy pasta barbecue fish tomato
        oil/vinegar: olive avocado balsamic cider sesame
        chocolate: dark milk baking white
        bars: granola protein energy cereal
        nuts: mixed pine macadamia brazil
        butter: peanut almond cashew
        chips: potato tortilla banana kale
        crackers: rice graham whole-wheat oyster
        flour: almond coconut bread rice
        syrup/honey: maple agave raw corn
        soup: chicken lentil noodle miso
        noodles: ramen rice egg udon
        spice/seasoning: taco curry pumpkin steak
        candy/gum: gummy sour chewing licorice
        water/juice: sparkling coconut apple cranberry
        milk: oat almond powdered condensed""",
    "tools": """
        drill/drills: cordless hammer impact
        bits: drill router screwdriver
        saw/saws: circular jig table miter hand
        wrench/wrenches: socket torque pipe adjustable
        hammer: claw framing rubber
        screwdriver/screwdrivers: precision phillips magnetic
        pliers: needle-nose locking slip-joint
        screws/nails: wood drywall roofing
        sander/grinder: orbital belt angle bench
        ladder: step extension attic
        box/bag: tool tackle
        gloves: work welding nitrile
        glue/adhesive: wood super epoxy
        level/measure: laser tape torpedo
        light/lights: work flood head""",
    "garden": """
        seeds: tomato flower herb pepper lettuce grass sunflower
        hose: garden soaker expandable
        pots/planters: plant clay hanging ceramic
        soil/fertilizer: potting lawn orchid cactus
        gloves/shears: gardening pruning hedge
        feeder/feeders: bird hummingbird squirrel
        mower/trimmer: lawn string
        sprinkler/nozzle: oscillating lawn rotary
        lights/lantern: solar string pathway
        grill/smoker: charcoal gas pellet
        furniture/bench: patio outdoor wicker
        trap/repellent: mosquito mouse wasp fly
        fountain/statue: garden water buddha""",
    "toys": """
        blocks: building wooden magnetic foam
        puzzle/puzzles: jigsaw wooden floor brain
        doll/dolls: baby rag fashion porcelain
        cars/trucks: toy monster race remote-control
        figure/figures: action dinosaur superhero
        train/trains: wooden model electric
        game/games: board card party trivia strategy
        animals: stuffed plush farm
        kit/kits: science craft magic slime robot
        dough/sand: modeling kinetic play
        kite/frisbee: stunt delta flying
        cards: playing trading flash tarot
        bike/scooter: balance kick toddler
        dice/miniatures: polyhedral painted fantasy""",
    "baby": """
        diapers: cloth swim disposable overnight
        bottles/cups: baby sippy feeding
        monitor/gate: baby video safety
        stroller/seat: jogging umbrella booster car
        blanket/swaddle: receiving muslin crib
        wipes: baby water flushable
        bib/bibs: silicone bandana drool
        toys/rattle: teething bath crib
        formula/food: infant toddler organic
        pump/pads: breast nursing
        carrier/bag: baby diaper sling
        chair/tub: high bath rocking""",
    "pets": """
        food: dog cat puppy kitten fish bird hamster
        toy/toys: chew squeaky catnip rope
        collar/leash: dog cat retractable training
        bed/beds: dog cat orthopedic
        litter/box: cat clumping self-cleaning
        treats: dog dental training cat
        cage/crate: bird hamster wire rabbit
        filter/tank: aquarium fish sponge
        shampoo/brush: dog oatmeal flea grooming
        bowl/fountain: dog slow-feeder pet water
        medicine/drops: flea tick ear worm
        coat/harness: dog winter no-pull""",
    "sports": """
        ball/balls: soccer tennis golf basket exercise ping-pong
        shoes: running tennis trail basketball climbing
        mat/block: yoga exercise
        bands: resistance exercise pull-up
        gloves: boxing batting cycling goalkeeper
        racket/paddle: tennis badminton squash
        bike/helmet: mountain road exercise
        rod/reel: fishing spinning fly casting
        lures/hooks: fishing bass trout
        tent/tents: camping backpacking pop-up
        bag/backpack: sleeping hiking gym duffel
        bottle: water sports insulated
        goggles: swim ski safety
        weights/dumbbells: hand ankle adjustable
        bar/rack: pull-up squat bike
        skates/board: inline ice skate surf""",
    "clothing": """
        shirt/shirts: dress polo flannel henley
        jeans/pants: skinny bootcut cargo yoga
        dress/dresses: maxi cocktail summer wrap
        socks: crew wool compression ankle
        shoes/boots: hiking rain ankle leather canvas
        jacket/coat: denim rain puffer fleece leather
        hat/hats: bucket baseball straw winter
        bra/underwear: sports thermal cotton
        sweater/hoodie: cashmere cardigan pullover
        belt/wallet: leather canvas slim
        bag/purse: tote crossbody shoulder
        sunglasses: polarized aviator retro
        scarf/gloves: silk wool knit
        pajamas/robe: flannel satin bath""",
    "jewelry": """
        necklace: pendant choker pearl locket
        earrings: stud hoop dangle clip-on
        ring/rings: engagement wedding signet mood
        bracelet: charm tennis beaded cuff
        watch/watches: wrist dive pocket digital
        beads/stones: glass crystal wooden
        box/stand: jewelry ring
        pin/brooch: lapel enamel vintage""",
    "health": """
        vitamins/gummies: multi prenatal children
        oil/capsules: fish flax krill evening-primrose
        powder: protein collagen whey greens
        tea/drops: sleep detox cough
        brace/support: knee ankle wrist back
        monitor: blood-pressure glucose heart-rate
        bandages/tape: adhesive gauze kinesiology
        toothbrush/toothpaste: electric whitening charcoal
        floss/mouthwash: dental waxed
        pillow/cushion: memory-foam seat neck
        lenses/glasses: contact reading blue-light
        cream/patch: pain-relief nicotine antifungal
        inhaler/spray: nasal saline throat
        massager/roller: neck foot foam""",
    "home": """
        sheets/sheet: bed fitted flannel bamboo
        towel/towels: bath beach paper kitchen
        curtains: blackout shower sheer
        rug/rugs: area bath shag
        pillow/pillows: throw body down
        lamp/lamps: floor desk table bedside
        candle/candles: scented soy pillar
        frame/frames: picture poster
        clock/clocks: alarm wall grandfather
        mirror/shelf: wall vanity floating
        vacuum/mop: robot handheld steam
        basket/bins: laundry storage wicker
        cleaner/spray: glass carpet oven drain
        bulbs: light led edison
        hooks/hangers: coat velvet adhesive
        chair/desk: office folding gaming standing
        mattress/topper: memory-foam air crib
        filter/purifier: water air furnace""",
    "auto": """
        oil/filter: motor transmission cabin engine
        tires/wheels: winter trailer all-terrain
        wipers/blades: windshield rear
        covers/mats: seat car floor
        wax/polish: car carnauba ceramic
        battery/jump-starter: car marine deep-cycle
        pads/rotors: brake ceramic
        jack/lift: floor scissor bottle
        plugs/coil: spark ignition
        bulb/headlights: halogen fog
        rack/hitch: roof cargo trailer
        holder/mount: phone cup""",
    "music": """
        strings: guitar violin bass ukulele
        guitar/guitars: acoustic electric bass classical
        piano/keyboard: digital upright stage
        drum/drums: snare bass hand steel
        amplifier/pedal: guitar distortion tube
        microphone: condenser dynamic lavalier
        harmonica/flute: blues wooden chromatic
        stand/strap: music guitar microphone
        album/records: jazz vinyl gospel
        songs/symphony: folk country orchestral
        concerto/quartet: piano violin string""",
    "books": """
        novel/novels: crime romance historical graphic fantasy western
        stories: short ghost bedtime detective
        cookbook/recipes: vegan keto baking slow-cooker
        guide/guides: travel field study survival
        history: world military roman medieval natural
        dictionary: english spanish latin
        biography/memoir: presidential celebrity war
        poems/poetry: love haiku nature
        textbook: chemistry algebra biology
        workbook: math handwriting phonics
        atlas/map: road world star
        magazine/comic: fashion cooking superhero""",
    "crafts": """
        yarn: wool cotton chunky acrylic
        needles/hooks: knitting crochet sewing
        fabric: quilting cotton linen denim
        thread: embroidery sewing quilting
        machine: sewing embroidery die-cutting
        paint/paints: acrylic oil watercolor spray
        canvas/easel: stretched tabletop art
        beads: seed glass pony
        stamps/ink: rubber clear wax
        stickers: vinyl scrapbook holographic
        clay: polymer air-dry pottery
        ribbon: satin grosgrain burlap
        scissors/punch: fabric craft hole
        plates/art: stamping nail
        gun/sticks: glue hot-glue""",
    "video_games": """
        controller: wireless racing arcade
        console: handheld retro portable
        headset: gaming virtual-reality
        game: racing puzzle adventure fighting football
        simulator: flight farming train
        chair/desk: gaming racing
        card: memory graphics sound""",
    "travel": """
        luggage: carry-on hardside spinner
        pillow/adapter: travel neck
        bag/organizer: toiletry garment packing
        lock/tag: luggage padlock
        umbrella: compact golf folding
        bottle/cup: collapsible travel
        wallet/pouch: passport money""",
}

ATTRIBUTES = """
    premium original classic deluxe professional portable compact heavy duty large small mini extra long short soft
    ultra super natural organic pure fresh gentle advanced complete essential daily slim wide thick thin fine bold
    medium point retractable refillable reusable washable adjustable foldable stackable durable lightweight
    rechargeable insulated stainless steel wooden plastic rubber silicone bamboo cotton leather nylon glass metal
    non-stick non-toxic fragrance free sugar free gluten free unscented scented quick dry long lasting anti-slip
    multi purpose all purpose high quality best value new improved vintage modern rustic elegant cute funny kids
    women men unisex adult junior pro plus max elite gold silver royal magic smart easy instant travel size family
    assorted translucent frosted polished brushed handmade imported genuine authentic
"""
COLOURS = """
    black white red blue green yellow purple pink orange brown gray grey silver gold ivory beige navy teal turquoise
    clear charcoal rose cream burgundy lavender olive tan coral mint velvet ebony natural
"""
UNITS = """
    ounce ounces oz fl oz inch inches count pack ct lb lbs pound pounds ml g mg kg mm cm ft feet yards sheets pieces
    pcs piece bottles tubes box boxes set sets pairs pair rolls bags tablets capsules caplets pads gallon quart liter
    watt volt gb tb mp
"""
TRAILERS = """
    with lid|with stand|with case|with cover|with handle|with free shipping|with aloe|with vitamin e|with led light
    for men|for women|for kids|for home and office|for dry skin|for travel|for sensitive skin|for beginners
    for home use|for all ages|for school|for small spaces|in gift box|made in usa|as seen on tv|value pack
    assorted colors|limited edition|discontinued by manufacturer|fine point|extra strength|original formula|refill
    letter size|full size|one size|twin pack|family size|travel size|fresh scent|unscented|bulk pack|gift set
    packaging may vary|colors may vary|new version|2nd edition|paperback|hardcover|wall mounted|dishwasher safe
"""
FILM_NOUNS = """
    man woman night day heart house road river city dream story love war king queen prince princess boy girl summer
    winter moon sun star stars sky sea island mountain forest garden train ship letter secret silence shadow fire ice
    storm rain snow wind dance dancer song music killer detective murder crime police thief ghost vampire monster
    alien robot planet space earth time world life death angel devil god soldier general battle empire kingdom knight
    sword treasure pirate cowboy horse dog cat wolf lion tiger eagle bird rose flower blood bone game player school
    teacher doctor nurse lawyer judge wedding bride family father mother brother sister son daughter friend stranger
    neighbor party holiday christmas weekend morning midnight dawn street avenue bridge tower castle hotel window door
    mirror mask diamond gold money bank heist escape prison island trial witness conspiracy spy agent mission code
    hunter legend warrior samurai dragon wizard witch magic curse beast jungle desert ocean titan frontier
"""
FILM_ADJECTIVES = """
    dark silent lost last first great little big wild blue red black white golden silver crazy secret hidden broken
    dead deadly dangerous beautiful perfect american french english italian lonely happy sad young old new long short
    strange sweet cold hot eternal final fatal forgotten forbidden invisible naked pink purple raging rising falling
    running dancing sleeping burning living walking flying singing shining haunted sacred simple single second third
    seventh brave bad good innocent guilty savage royal private public midnight modern ordinary twelve seven three
"""
EVERYDAY_FRAME = """
    you infer the interests of a shop user from titles clicked historical click sequence is as follows please
    preference and output it in format json such first second at most strongest words each system user assistant by
    first interest on off or an to that this all more your
"""
