"""The demo shop's catalogue, second half: sports to home. How to read it: :mod:`eimf_local.data.demo_words`."""

CATALOGUE = """
== sports | Northfell, Ridgeway Trail, Stridewell, Lakeline, Asanta | Navy, Purple, Forest Green
# yoga and stretching
Yoga Mat | Extra Thick, Nonslip | 1/2-Inch, 72 x 24 Inches | with Carrying Strap
Yoga Blocks | Cork, High Density Foam | 2-Pack, 9 x 6 x 4 Inches | with Strap
Resistance Bands | Latex-Free, Fabric | Set of 5, 3 Levels | with Exercise Guide, for Legs and Glutes
Foam Roller | High Density, Textured | 18-Inch, 36-Inch | for Deep Tissue Massage
Stretching Strap | Nonelastic, 12-Loop | 78-Inch, 8 ft | for Physical Therapy
Exercise Ball | Anti-Burst, Extra Thick | 65 cm, 75 cm | with Pump, for Pilates
# camping and hiking gear
Backpacking Tent | Ultralight, 3-Season | 2-Person, 4 lb | with Rainfly
Sleeping Bag | Mummy, Lightweight | 20 Degree, Long | with Stuff Sack
LED Headlamp | Rechargeable, Waterproof | 300 Lumens, 2-Pack | with Red Light, for Night Hikes
Camping Stove | Portable, Folding | 3.7 oz, 10,000 BTU | with Piezo Ignition
Trekking Poles | Carbon Fiber, Collapsible | 1 Pair, 25 to 54 Inches | with Cork Grips
Water Filter Straw | Personal, Squeeze | 0.1 Micron, 2-Pack | for Hiking and Emergencies
# freshwater fishing tackle
Fishing Lures | Soft Plastic, Crankbait | 30-Piece, 5-Pack | for Bass and Trout
Spinning Reel | Smooth, Saltwater Safe | 3000 Series, 5.2:1 | with Spare Spool
Tackle Box | 3-Tray, Waterproof | 13-Inch, Medium | with Dividers
Braided Fishing Line | Abrasion Resistant, 8-Strand | 300 Yards, 20 lb Test | for Bass
Bass Jigs | Weedless, Football | 3/8 oz, 6-Pack | with Silicone Skirt
Fishing Rod | Telescopic, Medium Action | 6 ft 6 in, 7 ft | with Cork Handle
# running and training gear
Running Belt | Sweatproof, No-Bounce | Medium, One Size | with Phone Pocket
Reflective Running Vest | Adjustable, High Visibility | One Size, L/XL | for Night Running
Compression Socks | Breathable, Graduated | 20-30 mmHg, 3 Pairs | for Runners
Handheld Water Bottle | Insulated, Squeeze | 22 oz, 12 oz | with Hand Strap
Sports Armband | Lightweight, Water Resistant | 5.5-Inch, 6.7-Inch | with Key Holder, for Running
Jump Rope | Adjustable, Weighted | 10 ft, 1 lb | for Boxing and Cardio
== toys and games | Foxglove Games, Tinkertown, Puzzlewood, Dicehaven |
# strategy board games
Strategy Board Game | Award Winning, Medieval | 2-4 Players, 90 Minutes | with Wooden Pieces
Cooperative Card Game | Fast-Paced, Deep Sea | 2-5 Players, 30 Minutes | for Game Night
Deck Building Game | Fantasy, Space Trading | 1-4 Players, Ages 14+ | with Solo Mode
Roll and Write Dice Game | Quick, Family | 1-6 Players, Ages 8+ | with Dry Erase Boards
Board Game Expansion | Islands, Winter | 5-6 Players, 120 Cards | for the Base Game
Board Game Card Sleeves | Clear, Matte | 63.5 x 88 mm, 100-Pack | for Standard Cards
# jigsaw puzzles
Jigsaw Puzzle | Lighthouse Harbor, Autumn Village | 1000 Pieces, 500 Pieces | for Adults, with Poster
Puzzle Sorting Trays | Stackable, Plastic | Set of 6, 8 x 8 Inches | with Lid
Panoramic Jigsaw Puzzle | Hot Air Balloons, City Skyline | 750 Pieces, 39 x 13 Inches | with Linen Finish
Puzzle Roll Mat | Felt, Nonslip | 1500 Pieces, 46 x 26 Inches | with Inflatable Tube
Puzzle Glue | Clear, Fast Drying | 4 oz, 120 ml | with Applicator
Wooden Jigsaw Puzzle | Animal Shaped, Vintage Map | 200 Pieces, 11 x 8 Inches | with Gift Box
# building blocks and model trains
Building Blocks | Creative, Classic | 1000-Piece, Ages 3+ | with Storage Bucket
Wooden Train Set | Figure 8, Deluxe | 32-Piece, 80-Piece | with Bridge and Station
Magnetic Tiles | Clear, Rainbow | 100-Piece, 60-Piece | for Toddlers
Marble Run | Glow-in-the-Dark, Wooden | 150-Piece, Ages 4+ | with Glass Marbles
Train Track Expansion Pack | Beechwood, Curved | 24-Piece, 52-Piece | for Wooden Railways
Building Brick Baseplate | Double Sided, Green | 10 x 10 Inches, 4-Pack | for Classic Bricks
== groceries | Old Orchard Lane, Saffron Gate, Millstone Pantry, Copperpot, Wildleaf |
# loose leaf and herbal tea
Earl Grey Tea | Decaf, Double Bergamot | 100 Tea Bags, 8 oz Tin | with Orange Peel
Chamomile Herbal Tea | Organic, Caffeine Free | 20 Tea Bags, Pack of 6 | with Lavender, for Bedtime
Loose Leaf Green Tea | Sencha, Jasmine | 3.5 oz Tin, 1 lb Bag | with Lotus Petals
Rooibos Tea | Vanilla, Organic | 80 Tea Bags, 7 oz | from South Africa
Matcha Green Tea Powder | Ceremonial Grade, Culinary | 4 oz, 30 g Tin | for Lattes
Masala Chai Tea | Spiced, Fair Trade | 50 Tea Bags, 12 oz | with Ginger and Cardamom
# spices and hot sauce
Smoked Paprika | Spanish, Sweet | 2.5 oz Jar, 16 oz | for Rubs and Paella
Hot Sauce | Small Batch, Extra Hot | 5 fl oz, Pack of 3 | with Habanero and Garlic
Curry Powder | Madras, Mild | 16 oz, 3.5 oz Jar | for Curries and Soups
Ground Cumin | Organic, Roasted | 8 oz Bag, 2 oz Jar | for Tacos and Chili
Chili Flakes | Crushed, Aleppo | 4 oz, 12 oz | for Pizza
Sea Salt Grinder | Coarse, Himalayan Pink | 7 oz, 13.5 oz | with Adjustable Mill
# gluten-free baking and snacks
Gluten Free Flour | All Purpose, Grain Free | 22 oz, 5 lb Bag | for Bread and Cakes
Almond Flour Crackers | Gluten Free, Rosemary | 4.25 oz, 6-Pack | with Sea Salt and Flax
Gluten Free Brownie Mix | Fudgy, Vegan | 16 oz, Pack of 4 | with Chocolate Chunks
Quinoa Pasta | Gluten Free, Organic | 8 oz Box, Case of 12 | with Corn and Amaranth
Gluten Free Pancake Mix | Buttermilk, Protein | 24 oz, 3 lb | for Pancakes and Waffles
Brown Rice Cakes | Lightly Salted, Gluten Free | 8.5 oz, Pack of 12 | with Chia Seeds
# dark chocolate and sweets
Dark Chocolate Bar | 72% Cacao, Single Origin | 3 oz, Pack of 12 | with Hazelnuts, with Sea Salt
Chocolate Truffles | Belgian, Dark | 12-Count, 1 lb Box | with Raspberry Filling
Salted Caramels | Soft, Handmade | 8 oz, Gift Box | with Dark Chocolate
Cacao Nibs | Raw, Organic | 1 lb Bag, 8 oz | for Baking
Gummy Bears | Assorted Fruit, Sour | 5 lb Bag, 2 lb | for Parties
Black Licorice | Dutch, Soft | 10 oz, 2.2 lb | with Anise
== electronics | Voltiq, Sonora Labs, NovaPeak, Pixelgrove, Ampere & Co | Black, White, Silver
# headphones and earbuds
Over-Ear Headphones | Noise Cancelling, Wireless | 30-Hour Battery, 40 mm Drivers | with Microphone, with Travel Case
Wireless Earbuds | Bluetooth, Sweatproof | 24 Hours, IPX7 | with Charging Case
In-Ear Monitors | Hi-Res, Detachable Cable | 3.5 mm, Dual Driver | for Musicians
Replacement Ear Pads | Memory Foam, Leather | 1 Pair, 90 mm | for Over-Ear Headphones
Headphone Stand | Aluminum, Walnut | 10-Inch, Dual | with Cable Holder
Headphone Amplifier | Portable, High Resolution | 32 Bit, 6.3 mm | with USB DAC
# camera lenses and tripods
Camera Tripod | Carbon Fiber, Compact | 60-Inch, 72-Inch | with Ball Head, for DSLR Cameras
UV Lens Filter | Multi-Coated, Slim | 58 mm, 77 mm | with Case
Camera Backpack | Water Resistant, Padded | 17-Inch, 20 Liters | with Rain Cover
SD Memory Card | High Speed, UHS-I | 64 GB, 128 GB | for Cameras
Lens Cleaning Kit | Professional, Travel | 10-Piece, 7-in-1 | with Air Blower
Macro Camera Lens | Manual Focus, Wide Angle | 60 mm f/2.8, 35 mm | for Mirrorless Cameras
# phone chargers and cables
USB-C Charging Cable | Braided, Fast Charging | 6 ft, 3-Pack | for Smartphones and Tablets
Portable Power Bank | Slim, Dual Port | 10000 mAh, 20000 mAh | with LED Display
USB Wall Charger | Compact, Fast Charging | 20W, 4-Port | with Foldable Plug
Wireless Charging Pad | Slim, Fast | 15W, 2-Pack | with Cable
Charging Cable Organizer | Silicone, Adhesive | 5-Slot, 6-Pack | for Desk and Nightstand
Phone Car Charger | Dual USB, Metal | 48W, 24W | with Coiled Cable
# keyboards and mice
Mechanical Keyboard | Backlit, Hot-Swappable | 87 Keys, 65% | with Brown Switches
Wireless Mouse | Silent Click, Ergonomic | 2.4 GHz, 1600 DPI | with USB Receiver
Gaming Mouse Pad | Extended, Stitched Edge | 31.5 x 12 Inches, XL | for Keyboard and Mouse
Keycap Set | PBT, Double Shot | 108 Keys, 129 Keys | with Keycap Puller
Ergonomic Keyboard | Split, Wireless | 104 Keys, Full Size | with Wrist Rest
Trackball Mouse | Wireless, Programmable | 6 Buttons, 34 mm Ball | for Left and Right Hand
== music | Larkspur Audio, Bramble & Bow, Stagefield |
# electric guitar strings and pedals
Electric Guitar Strings | Nickel Wound, Light Gauge | 10-46, 3 Sets | for Electric Guitar
Distortion Guitar Pedal | True Bypass, Vintage | 9V, Mini | with LED Indicator
Guitar Picks | Celluloid, Heavy | 12-Pack, 0.73 mm | with Tin Box
Guitar Strap | Leather, Woven | 2.5-Inch, 38 to 60 Inches | with Strap Locks
Guitar Instrument Cable | Braided, Noiseless | 10 ft, 20 ft | with Right Angle Plug
Clip-On Guitar Tuner | Chromatic, Rechargeable | 440 Hz, 2-Pack | for Guitar and Bass
# drums and percussion
Drumsticks | Hickory, Maple | 5A, 3 Pairs | with Nylon Tip
Drum Practice Pad | Double Sided, Silicone | 12-Inch, 8-Inch | with Carry Bag
Snare Drum Head | Coated, 2-Ply | 14-Inch, 13-Inch | with Dampening Ring
Cajon Box Drum | Birch, Full Size | 19-Inch, 12-Inch | with Adjustable Snare
Cymbal Stand | Double Braced, Boom | 60-Inch, Straight | with Memory Lock
Tambourine | Wooden, Double Row | 10-Inch, 32 Jingles | for Drum Kits
# ukulele and recorder
Soprano Ukulele | Mahogany, Beginner | 21-Inch, 4-String | with Gig Bag and Tuner
Ukulele Strings | Fluorocarbon, Nylon | Set of 4, 2 Sets | for Soprano and Concert
Soprano Recorder | German Fingering, Maple | 3-Piece, Key of C | with Cleaning Rod, for School
Ukulele Wall Hanger | Hardwood, Auto Lock | 2-Pack, 4-Inch | for Ukulele and Violin
Ukulele Songbook | Easy, Holiday | 64 Pages, 50 Songs | with Chord Charts, for Beginners
Ukulele Gig Bag | Padded, Canvas | 23-Inch, 10 mm | with Backpack Straps
== arts and crafts | Atelier Wren, Inkwell Lane, Thimble & Thread, Knotty Pine |
# fountain pens and calligraphy
Fountain Pen | Fine Nib, Lacquered | 0.5 mm, Medium | with Ink Converter, with Gift Box
Bottled Fountain Pen Ink | Water-Based, Shimmer | 50 ml, 1.7 oz | in Midnight Blue
Calligraphy Nibs | Flexible, Italic | Set of 5, 1.1 mm | with Pen Holder
Fountain Pen Ink Cartridges | International, Quick Drying | 12-Pack, Short | in Blue Black
Brush Lettering Pens | Dual Tip, Pigment | Set of 12, 3 Sizes | for Hand Lettering
Calligraphy Paper Pad | Slanted Grid, Smooth | A4, 50 Sheets | for Pointed Pens
# watercolor painting
Watercolor Paint Set | Artist Grade, Metallic | 24 Half Pans, 36 Colors | with Travel Tin
Watercolor Paper Pad | Cold Press, Hot Press | 140 lb, 9 x 12 Inches | for Wet Techniques
Watercolor Brushes | Round, Sable | Set of 6, Size 8 | with Canvas Roll
Ceramic Paint Palette | Flower Shaped, 10-Well | 7-Inch, 5-Inch | for Watercolor
Watercolor Masking Fluid | Drawing Gum, Blue Tint | 2.5 oz, 45 ml | with Fine Tip
Water Brush Pens | Refillable, Flat Tip | 6-Piece, Set of 3 | for Watercolor and Lettering
# knitting yarn and needles
Merino Wool Yarn | Hand Dyed, Superwash | 100 g, 220 Yards | for Sweaters and Scarves
Circular Knitting Needles | Bamboo, Interchangeable | US 7, 12 Sizes | with Storage Pouch
Crochet Hooks | Ergonomic, Aluminum | 12-Piece, 4 mm | with Soft Grip Handles
Knitting Stitch Markers | Locking, Enameled | 100-Piece, Set of 20 | with Storage Box
Sock Yarn | Self-Striping, Fingering Weight | 50 g, 460 Yards | with Nylon
Yarn Bowl | Ceramic, Rosewood | 6-Inch, 7 x 4 Inches | for Knitting and Crochet
# sewing and quilting
Sewing Machine Needles | Universal, Jersey | 90/14, Pack of 10 | for Denim and Leather
Rotary Cutter | Ergonomic, Retractable | 45 mm, 60 mm | with Spare Blades
Quilting Ruler | Acrylic, Nonslip | 6 x 24 Inches, 12.5-Inch Square | for Rotary Cutting
Cotton Quilting Fabric Squares | Precut, Floral | 5-Inch, 42-Piece | for Patchwork
Sewing Thread Spools | Polyester, Cotton | 30 Spools, 1000 Yards | with Storage Case
Self-Healing Cutting Mat | Double Sided, Rotating | 24 x 18 Inches, A3 | for Quilting
== car | Roadwright, Gleamco, Pitlane |
# car washing and detailing
Car Wash Soap | Concentrated, Foaming | 1 Gallon, 64 oz | for Foam Guns
Microfiber Car Towels | Plush, Lint-Free | 24-Pack, 16 x 16 Inches | for Drying and Polishing
Carnauba Car Wax | Paste, Liquid | 16 oz, 11 oz | with Applicator Pad
Wheel Cleaning Brush | Soft, Long Handle | 17-Inch, 3-Piece | for Rims and Spokes
Clay Bar Kit | Fine Grade, Medium Grade | 3-Pack, 200 g | with Lubricant Spray
Tire Shine Spray | High Gloss, No-Sling | 22 oz, 2-Pack | with Foam Applicator
# car interior accessories
Car Phone Mount | Magnetic, Dashboard | 360 Degree, 4.7 to 7 Inches | with Suction Cup
Back Seat Organizer | Waterproof, Foldable | 2-Pack, 9 Pockets | with Tablet Holder, for Kids
Car Floor Mats | All-Weather, Carpet | 4-Piece, Front Row | for SUVs and Trucks
Steering Wheel Cover | Leather, Microfiber | 15-Inch, 14.5-Inch | with Nonslip Lining
Windshield Sun Shade | Foldable, Reflective | 63 x 34 Inches, Large | for Cars and SUVs
Car Trunk Organizer | Collapsible, Insulated | 3 Compartments, 65 Liters | with Nonslip Bottom
# engine care and wiper blades
Windshield Wiper Blades | All-Season, Beam | 22-Inch, Set of 2 | for Cars and Trucks
Engine Air Filter | Extra Guard, Washable | 9.5 x 8 Inches, Panel | for Sedans
Synthetic Motor Oil | High Mileage, Full | 5W-30, 5 Quarts | for Gasoline Engines
Oil Filter Wrench | Adjustable, Cap Style | 74 mm, 3-Jaw | for Oil Changes
Car Jump Starter | Portable, Lithium | 1000 Amp, 12V | with Jumper Cables, with Flashlight
Tire Pressure Gauge | Digital, Heavy Duty | 150 PSI, 60 PSI | with Backlight
== travel | Waypoint Supply, Aerolane, Porter & Finch | Graphite, Burgundy, Turquoise
# suitcases and packing cubes
Packing Cubes | Ultra Light, Compression | 6-Piece, Set of 4 | with Shoe Bag
Carry-On Suitcase | Hardside, Expandable | 22-Inch, 20-Inch | with Spinner Wheels
Luggage Tags | Leather, Silicone | 2-Pack, 4-Pack | with Privacy Cover
Weekender Duffel Bag | Water Resistant, Foldable | 40 Liter, 60 Liter | with Shoe Compartment
Luggage Scale | Digital, Portable | 110 lb, 50 kg | with Tare Function
Luggage Straps | Adjustable, Heavy Duty | 2-Pack, 6.5 ft | with Combination Lock
# travel pillows and sleep masks
Neck Pillow | Memory Foam, Inflatable | One Size, 12 x 11 Inches | with Snap Strap, for Airplanes
Sleep Mask | Contoured, Blackout | 2-Pack, One Size | with Ear Plugs
Foam Ear Plugs | Noise Reducing, Ultra Soft | 50 Pairs, 33 dB | with Aluminum Case
Travel Blanket | Packable, Fleece | 60 x 43 Inches, Twin | with Carrying Pouch
Inflatable Foot Rest | Adjustable, 3-Level | 17-Inch, 2-Pack | for Long Flights
Compression Flight Socks | Graduated, Moisture Wicking | 15-20 mmHg, 2 Pairs | for Long Flights
== home | Lindenhaus, Candlewick Row, Softmere, Tidy Cabin | Sage, Dove Gray, Cream
# scented candles and diffusers
Soy Wax Candle | Hand Poured, Vanilla Scented | 9 oz, 3-Wick | with Wooden Lid
Essential Oil Diffuser | Ultrasonic, Ceramic | 300 ml, 500 ml | with Color Lights
Reed Diffuser | White Tea, Sandalwood | 6.7 oz, 100 ml | with 8 Sticks
Lavender Essential Oil | Pure, Therapeutic Grade | 4 fl oz, 30 ml | for Aromatherapy
Tea Light Candles | Unscented, Long Burning | 50-Pack, 4-Hour | for Weddings
Scented Wax Melts | Soy, Apple Cinnamon | 2.5 oz, 6-Pack | for Wax Warmers
# bed sheets and pillows
Cotton Sheet Set | 400 Thread Count, Deep Pocket | Queen, King | with Pillowcases
Down Alternative Comforter | All-Season, Quilted | Queen, 88 x 88 Inches | with Corner Tabs
Memory Foam Pillow | Cooling, Shredded | Queen, Set of 2 | for Side Sleepers
Duvet Cover Set | Washed Cotton, Linen | King, 3-Piece | with Zipper
Mattress Protector | Waterproof, Hypoallergenic | Full, Queen | with Deep Pockets
Bed Throw Blanket | Chunky Knit, Sherpa | 50 x 60 Inches, Twin | for Bed and Couch
# closet storage and laundry
Storage Bins | Collapsible, Fabric | Set of 6, 11-Inch Cube | with Lids
Velvet Hangers | Nonslip, Ultra Thin | 50-Pack, 30-Pack | for Suits and Shirts
Laundry Hamper | Collapsible, Divided | 72 Liters, 3 Sections | with Handles and Lid
Drawer Dividers | Bamboo, Adjustable | Set of 4, 17 to 22 Inches | for Clothes
Shoe Rack | Stackable, Free Standing | 3-Tier, 20 Pairs | for Closet and Entryway
Garment Bags | Breathable, Clear | 6-Pack, 60-Inch | for Suits and Dresses
"""
